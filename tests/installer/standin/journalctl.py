"""`journalctl -u UNIT`: what the service said."""

import sys

from tests.installer.standin.place import Place
from tests.installer.standin.units import Service


def main() -> int:
    place = Place.here()
    place.log_call("journalctl", *sys.argv[1:])
    for flag, word in zip(sys.argv, sys.argv[1:], strict=False):
        if flag in ("-u", "--unit"):
            log = Service(place, word.removesuffix(".service")).log
            print(log.read_text() if log.exists() else "-- No entries --")
    return 0
