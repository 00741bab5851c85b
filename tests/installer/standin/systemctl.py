"""`systemctl`: the few verbs an installer needs."""

import sys

from tests.installer.standin.place import Place
from tests.installer.standin.units import Refused, Service

_INACTIVE = 3
_UNKNOWN = 5


def main() -> int:
    place = Place.here()
    place.log_call("systemctl", *sys.argv[1:])
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    verb, names = words[0], [word.removesuffix(".service") for word in words[1:]]
    if verb == "daemon-reload":
        return 0
    try:
        return max(_do(verb, Service(place, name)) for name in names)
    except Refused as error:
        print(error, file=sys.stderr)
        return _UNKNOWN


def _do(verb: str, service: Service) -> int:
    wanted = service.place.units / "multi-user.target.wants" / service.unit.name
    match verb:
        case "start":
            service.start()
        case "stop":
            service.stop()
        case "restart":
            service.stop()
            service.start()
        case "is-active":
            print("active" if service.active else "inactive")
            return 0 if service.active else _INACTIVE
        case "is-enabled":
            print("enabled" if wanted.is_symlink() else "disabled")
            return 0 if wanted.is_symlink() else 1
        case "enable":
            if not service.unit.exists():
                raise Refused(f"Failed to enable unit: Unit file {service.unit.name} does not exist.")
            wanted.parent.mkdir(parents=True, exist_ok=True)
            if not wanted.is_symlink():
                wanted.symlink_to(service.unit)
            if "--now" in sys.argv:
                service.start()
        case "disable":
            wanted.unlink(missing_ok=True)
            if "--now" in sys.argv:
                service.stop()
        case "reset-failed" | "reload":
            pass
        case _:
            print(f"Unknown command verb {verb}.", file=sys.stderr)
            return 1
    return 0
