"""k0s itself, out of its images in the store: what nodes of child clusters fetch before they can run any image."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.oci.descriptor import as_object, text_field
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid, TagInvalid, TooManyRequests
from registry.oci.manifest import Manifest, load_json
from registry.oci.reference import RepositoryName, Tag
from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.errors import disk_errors
from registry.storage.folder import ListedFile, open_plain
from registry.storage.index import Index, Snapshot
from registry.storage.layers import LayerInvalid, file_in_layer
from registry.storage.locks import locked
from registry.storage.roots import sync_directory
from registry.storage.uploads import UploadFile

_log = logging.getLogger(__name__)

REPOSITORY = "k0sproject/k0s"
_EXECUTABLE = "usr/local/bin/k0s"  # where k0s' own images have it
_NAME = re.compile(r"k0s-(v[A-Za-z0-9._+-]+)-([a-z0-9]+)")
_BUILD = re.compile(r"-(k0s\.[0-9]+)$")
_SIZE_LIMIT = 1 << 30
_CONFIG_LIMIT = 1 << 20
# Threads of a worker that may be busy with, or wait for, unpacking; the others have pulls to serve.
_PATIENT = 4


@dataclass(frozen=True, slots=True)
class _Image:
    """The image of k0s for one architecture."""

    repository: RepositoryName
    digest: Digest
    architecture: str
    layers: tuple[StoredBlob, ...]
    """The topmost first: it hides what lies below."""


class Binaries:
    """The k0s executables of the store's images, each unpacked once, when it is first asked for.

    A file below `folder` is named by the manifest that it comes from, so a tag that moves brings another file.
    """

    def __init__(self, blobs: BlobStore, index: Index, folder: Path) -> None:
        self._blobs = blobs
        self._index = index
        self._folder = folder
        self._refused: set[Digest] = set()
        self._patient = threading.BoundedSemaphore(_PATIENT)

    def open(self, name: str) -> BinaryIO | None:
        """The executable that goes by `name`, such as k0s-v1.32.8+k0s.0-amd64; None where no image has it.

        Raises:
            StorageFull: there is no room to unpack it.
            TooManyRequests: enough threads wait for it.
        """
        image = self._find(name)
        if image is None or image.digest in self._refused:
            return None
        return open_plain(self._path(image)) or self._unpack(image)

    def list(self) -> list[ListedFile]:
        """All of them, by name; the size only of those that were unpacked."""
        with self._index.snapshot() as snapshot:
            images = [
                (_file_name(tag, image.architecture), image)
                for repository in _repositories(snapshot)
                for tag, digest in snapshot.tags(repository)
                for image in self._images(snapshot, repository, digest)
            ]
        names = {name: _size(self._path(image)) for name, image in images if image.digest not in self._refused}
        return [ListedFile(name, names[name]) for name in sorted(names)]

    def _find(self, name: str) -> _Image | None:
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        with suppress(TagInvalid), self._index.snapshot() as snapshot:
            tag = Tag.parse(match[1].replace("+", "-"))
            for repository in _repositories(snapshot):
                digest = snapshot.tagged(repository, tag)
                for image in self._images(snapshot, repository, digest) if digest else ():
                    if image.architecture == match[2]:
                        return image
        return None

    def _unpack(self, image: _Image) -> BinaryIO | None:
        if not self._patient.acquire(blocking=False):
            raise TooManyRequests("k0s is being unpacked")
        try:
            with disk_errors(self._folder):
                self._folder.mkdir(exist_ok=True)
            with locked(self._folder / ".lock", wait=True):
                return open_plain(self._path(image)) or self._unpack_alone(image)
        except LayerInvalid as error:
            _log.warning("%s@%s is not served as a file: %s", image.repository, image.digest, error)
            self._refused.add(image.digest)
            return None
        finally:
            self._patient.release()

    def _unpack_alone(self, image: _Image) -> BinaryIO | None:
        self._remove_old()
        path = self._path(image)
        upload = UploadFile.create_at(path.with_name(f".{path.name}.partial"))
        try:
            for chunk in self._executable(image):
                upload.append(chunk)
            upload.sync()
            with disk_errors(path):
                upload.path.rename(path)
                sync_directory(self._folder)
        finally:
            upload.remove()
        return open_plain(path)

    def _executable(self, image: _Image) -> Iterator[bytes]:
        for blob in image.layers:
            found = False
            path = self._blobs.path(blob.root, blob.digest)
            with self._blobs.open(blob.root, blob.digest) as layer, disk_errors(path):
                for chunk in file_in_layer(layer, blob.digest, _EXECUTABLE, _SIZE_LIMIT):
                    found = True
                    yield chunk
            if found:
                return
        raise LayerInvalid(f"it has no {_EXECUTABLE}")

    def _remove_old(self) -> None:
        """What a killed process left, and the executables of images that are gone."""
        with self._index.snapshot() as snapshot:
            wanted = {
                self._path(image).name
                for repository in _repositories(snapshot)
                for _, digest in snapshot.tags(repository)
                for image in self._images(snapshot, repository, digest)
            }
        with disk_errors(self._folder):
            for path in self._folder.iterdir():
                if path.name not in (*wanted, ".lock"):
                    path.unlink(missing_ok=True)

    def _path(self, image: _Image) -> Path:
        return self._folder / f"{image.digest.algorithm}-{image.digest.hex}"

    def _images(self, snapshot: Snapshot, repository: RepositoryName, digest: Digest) -> Iterator[_Image]:
        """The linux images below a manifest or index, each once: an index may list another a thousand times."""
        waiting, seen = [digest], {digest}
        while waiting:
            stored = snapshot.manifest(repository, waiting.pop())
            if stored is None:
                continue
            manifest = Manifest.parse(stored.body, stored.media_type)
            fresh = {child.digest: None for child in reversed(manifest.children) if child.digest not in seen}
            waiting += fresh
            seen.update(fresh)
            image = self._image(snapshot, repository, stored.digest, manifest)
            if image is not None:
                yield image

    def _image(
        self, snapshot: Snapshot, repository: RepositoryName, digest: Digest, manifest: Manifest
    ) -> _Image | None:
        if manifest.config is None:
            return None
        architecture = self._architecture(snapshot, repository, manifest.config.digest)
        if architecture is None:
            return None
        layers = [snapshot.linked_blob(repository, layer.digest) for layer in reversed(manifest.layers)]
        return _Image(repository, digest, architecture, tuple(layer for layer in layers if layer is not None))

    def _architecture(self, snapshot: Snapshot, repository: RepositoryName, digest: Digest) -> str | None:
        """What the config says: an index's entry may leave it out, and a plain image has no index."""
        blob = snapshot.linked_blob(repository, digest)
        if blob is None or blob.size > _CONFIG_LIMIT:
            return None
        with suppress(ManifestInvalid), self._blobs.open(blob.root, blob.digest) as config:
            fields = as_object(load_json(config.read()), "config")
            if text_field(fields, "os") == "linux":
                return text_field(fields, "architecture")
        return None


def _repositories(snapshot: Snapshot) -> list[RepositoryName]:
    """`k0sproject/k0s`, and where a load put a prefix in front of it."""
    found = snapshot.repositories()
    return [name for name in found if name == REPOSITORY or name.endswith(f"/{REPOSITORY}")]


def _file_name(tag: Tag, architecture: str) -> str:
    """As k0s names its releases: tags cannot hold the `+` of a version."""
    version = _BUILD.sub(r"+\1", tag)
    return f"k0s-{version}-{architecture}"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
