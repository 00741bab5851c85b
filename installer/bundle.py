"""k0s out of a bundle that no registry has: its one image is loaded into a store of its own, and read from there."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from installer.binary import REPOSITORY, ImageBinary
from installer.errors import SourceUnusable
from installer.host import K0RDENTD, Host
from installer.settings_types import K0sVersion
from installer.versions import choose
from registry.oci.descriptor import Descriptor
from registry.oci.errors import OCIError
from registry.oci.manifest import Manifest
from registry.verification import Verification

_PIECE = 1 << 20
_PATIENCE = 6 * 3600.0  # a bundle is read to its end, and disks can be slow


@dataclass(frozen=True, slots=True)
class Archive:
    """An image in an OCI archive, read as one in a registry is."""

    file: Path
    address: str

    def image(self, repository: str, reference: str, architecture: str) -> Manifest:
        """The manifest of the archive's image for linux on `architecture`.

        Raises:
            SourceUnusable: it has none.
        """
        try:
            root = json.loads(self._read("index.json"))["manifests"][0]["digest"]
            found = Manifest.parse(self._blob(str(root)))
            while found.config is None:
                child = next(
                    each for each in found.children if (each.platform or "").startswith(f"linux/{architecture}")
                )
                found = Manifest.parse(self._blob(str(child.digest)))
        except (OCIError, ValueError, KeyError, IndexError, StopIteration) as error:
            raise SourceUnusable(f"{self.address}: {repository}:{reference} has no image for {architecture}") from error
        return found

    def blob(self, repository: str, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob, which were verified when the bundle was loaded."""
        with tarfile.open(self.file) as archive:
            file = archive.extractfile(f"blobs/{blob.digest.algorithm}/{blob.digest.hex}")
            while file is not None and (piece := file.read(_PIECE)):
                yield piece

    def _blob(self, digest: str) -> bytes:
        return self._read(f"blobs/{digest.replace(':', '/')}")

    def _read(self, name: str) -> bytes:
        with tarfile.open(self.file) as archive:
            file = archive.extractfile(name)
            return b"" if file is None else file.read()


@contextmanager
def bundled_k0s(host: Host, bundle: Path, folder: Path, proof: Verification) -> Iterator[ImageBinary]:
    """The k0s of a bundle, for as long as the block lasts; the bundle is read through once, its signature verified.

    It is unpacked below `folder`, where the next one takes away what a killed one left.

    Raises:
        CommandFailed: the bundle cannot be loaded.
        SourceUnusable: it has no k0s.
    """
    unpacked = folder / ".k0s-of-bundle"
    host.remove_tree(unpacked)
    host.make_folder(unpacked, 0o700)
    try:
        yield _unpacked(host, bundle, host.at(unpacked), proof)
    finally:
        host.remove_tree(unpacked)


def _unpacked(host: Host, bundle: Path, folder: Path, proof: Verification) -> ImageBinary:
    store, file = f"{folder}/store", f"{folder}/k0s.tar"
    load = ("load", str(bundle), "--storage", store, "--include", f"{REPOSITORY}:*", "--progress", "plain")
    host.call((*K0RDENTD, *load, *proof.absolute().arguments()), patience=_PATIENCE)
    listed = host.call((*K0RDENTD, "store", "ls", "--storage", store)).split()
    tags = [name.partition(":")[2] for name in listed if name.startswith(f"{REPOSITORY}:")]
    version: K0sVersion = choose(tags, None, None, str(bundle))
    image = f"{REPOSITORY}:{version.replace('+', '-')}"
    host.call((*K0RDENTD, "store", "export", image, file, "--storage", store), patience=_PATIENCE)
    return ImageBinary(Archive(Path(file), str(bundle)), version, host.architecture())
