"""`update-ca-certificates`: every certificate of /usr/local/share/ca-certificates into one file."""

import sys

from tests.installer.standin.place import Place


def main() -> int:
    place = Place.here()
    place.log_call("update-ca-certificates", *sys.argv[1:])
    found = sorted((place.root / "usr/local/share/ca-certificates").rglob("*.crt"))
    trusted = place.root / "etc/ssl/certs/ca-certificates.crt"
    trusted.parent.mkdir(parents=True, exist_ok=True)
    trusted.write_text("".join(each.read_text() for each in found))
    print(f"Updating certificates in /etc/ssl/certs...\n{len(found)} added, 0 removed; done.")
    return 0
