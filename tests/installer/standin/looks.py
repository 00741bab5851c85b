"""`k0s version` and `k0s status -o json`: what an installer calls most, without what the other commands need."""

import sys

from tests.installer.standin.place import Place
from tests.installer.standin.program import K0s
from tests.installer.standin.units import Refused


def main(version: str) -> int:
    place = Place.here()
    place.log_call("k0s", *sys.argv[1:])
    this = K0s(place, version)
    try:
        shown = this.full_version if sys.argv[1] == "version" else this.status()
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    print(shown)
    return 0
