"""k0s' own images lie ready for the container runtime before it starts, so that it need not pull them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.changes import Change, RemoveFile, Replaced
from installer.errors import SourceUnusable
from installer.host import K0RDENTD, Host
from installer.paths import K0S, K0S_CONFIG, K0S_IMAGES, PRELOAD_STORE, REGISTRY_CA
from installer.settings_types import K0sVersion

_PREFIX = "k0rdentd-"
_PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class PreloadImages:
    """Have an archive of the images that this k0s names, under the very names by which it will ask for them.

    The registry is copied from as any client would, so this does as well on machines that have no store.
    """

    file: Path
    registry: str
    replaces: tuple[Replaced, ...]

    def describe(self) -> str:
        return f"write {self.file} with the images that 'k0s airgap list-images' names, from {self.registry}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        config = ("-c", str(K0S_CONFIG)) if host.look(K0S_CONFIG) else ()
        listed = host.call((str(K0S), "airgap", "list-images", "--all", *config)).split()
        images = sorted({_in_registry(image, self.registry) for image in listed})
        store = host.at(PRELOAD_STORE)
        yield f"copying {len(images)} images"
        ca = ("--ca-file", str(host.at(REGISTRY_CA)))
        host.call(
            (*K0RDENTD, "store", "copy", f"https://{self.registry}", str(store), *images, *ca), patience=_PATIENCE
        )
        host.make_folder(self.file.parent)
        out, names = str(host.at(self.file)), ("--registry", self.registry)
        host.call((*K0RDENTD, "store", "export", *images, out, "--storage", str(store), *names), patience=_PATIENCE)
        host.remove_tree(PRELOAD_STORE)


@dataclass(frozen=True, slots=True)
class Preload:
    """An archive for this version of k0s, and none for another one; k0s reads all that are there."""

    registry: str
    version: K0sVersion
    title: str = "images of k0s"

    def changes(self, host: Host) -> Iterator[Change]:
        wanted = K0S_IMAGES / f"{_PREFIX}{self.version}.tar"
        if host.look(wanted) is None:
            yield PreloadImages(wanted, self.registry, (Replaced(wanted, None),))
        yield from (RemoveFile(file) for file in _others(host, wanted))


def _others(host: Host, wanted: Path) -> Sequence[Path]:
    return [file for file in host.entries(K0S_IMAGES) if file.name.startswith(_PREFIX) and file != wanted]


def _in_registry(image: str, registry: str) -> str:
    """Where the registry has it: images keep the path that they have elsewhere.

    Raises:
        SourceUnusable: k0s names what is no image.
    """
    _, slash, path = image.partition("/")
    if not slash or not path.rpartition(":")[0]:
        raise SourceUnusable(f"'k0s airgap list-images' names {image!r}, which is no image of {registry}")
    return path
