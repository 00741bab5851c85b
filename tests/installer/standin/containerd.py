"""What k0s makes of /etc/k0s/containerd.d: refusals of new versions, silence of old ones."""

import tomllib
from collections.abc import Iterator

from tests.installer.standin.images import is_at_least
from tests.installer.standin.place import Place
from tests.installer.standin.units import Refused

_OLD, _NEW = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"


def refuse_drop_ins(place: Place, version: str) -> None:
    """The check before the start that k0s has since 1.36."""
    if not is_at_least(version, 1, 36):
        return
    for name, document in _drop_ins(place):
        if document.get("version", 3) != 3 or _OLD in document.get("plugins", {}):
            raise Refused(
                f"Error: pre-flight checks failed: containerd config: {name}: incompatible with containerd 2.x: "
                "please migrate it to version 3"
            )


def config_path(place: Place, version: str) -> str | None:
    """Where containerd of this k0s looks for hosts.toml files, if the drop-ins say so in its own words."""
    plugin = _NEW if is_at_least(version, 1, 36) else _OLD
    for _, document in _drop_ins(place):
        found = document.get("plugins", {}).get(plugin, {}).get("registry", {}).get("config_path")
        if found:
            return str(found)
    return None


def _drop_ins(place: Place) -> Iterator[tuple[str, dict[str, dict[str, dict[str, dict[str, object]]]]]]:
    for path in sorted((place.root / "etc/k0s/containerd.d").glob("*.toml")):
        yield path.name, tomllib.loads(path.read_text())
