"""`systemctl`: the few verbs an installer needs."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

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
    if verb not in _VERBS:
        print(f"Unknown command verb {verb}.", file=sys.stderr)
        return 1
    try:
        return max(_VERBS[verb](Service(place, name)) for name in names)
    except Refused as error:
        print(str(error), file=sys.stderr)
        return _UNKNOWN


def _wanted(service: Service) -> Path:
    return service.place.units / "multi-user.target.wants" / service.unit.name


def _start(service: Service) -> int:
    service.start()
    return 0


def _stop(service: Service) -> int:
    service.stop()
    return 0


def _restart(service: Service) -> int:
    service.stop()
    service.start()
    return 0


def _is_active(service: Service) -> int:
    print("active" if service.active else "inactive")
    return 0 if service.active else _INACTIVE


def _is_enabled(service: Service) -> int:
    enabled = _wanted(service).is_symlink()
    print("enabled" if enabled else "disabled")
    return 0 if enabled else 1


def _enable(service: Service) -> int:
    if not service.unit.exists():
        raise Refused(f"Failed to enable unit: Unit file {service.unit.name} does not exist.")
    wanted = _wanted(service)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if not wanted.is_symlink():
        wanted.symlink_to(service.unit)
    return _start(service) if "--now" in sys.argv else 0


def _disable(service: Service) -> int:
    _wanted(service).unlink(missing_ok=True)
    return _stop(service) if "--now" in sys.argv else 0


_VERBS: Mapping[str, Callable[[Service], int]] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "is-active": _is_active,
    "is-enabled": _is_enabled,
    "enable": _enable,
    "disable": _disable,
    "reload": lambda _: 0,
    "reset-failed": lambda _: 0,
}
