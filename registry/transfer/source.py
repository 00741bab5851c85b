"""Where images come from; a store is one such place."""

from collections.abc import Generator, Iterator
from typing import Protocol

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown
from registry.oci.reference import RepositoryName, TagOrDigest
from registry.storage.errors import disk_errors
from registry.storage.index import StoredManifest
from registry.storage.store import Store
from registry.transfer.selection import Named

CHUNK = 1024 * 1024

Chunks = Generator[bytes, None, None]


class BlobSource(Protocol):
    """A place that blobs can be read from, by several threads at once."""

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes of a blob from `offset` on, unchecked."""


class Source(BlobSource, Protocol):
    """A place that images can be read from."""

    def list_images(self) -> Iterator[Named]:
        """Every tag of every repository."""

    def get_manifest(self, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        """The manifest behind a tag or digest; ManifestUnknown where there is none."""

    def list_referrers(self, name: RepositoryName, subject: Digest) -> list[Descriptor]:
        """Manifests of this repository that name `subject`."""


class StoreSource:
    """A store to read from."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list_images(self) -> Iterator[Named]:
        """Every tag of every repository, in order, from one snapshot."""
        with self._store.snapshot() as snapshot:
            images = [Named(name, tag) for name in snapshot.repositories() for tag, _ in snapshot.tags(name)]
        yield from images

    def get_manifest(self, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        """The manifest behind a tag or digest.

        Raises:
            ManifestUnknown: there is none.
        """
        return self._store.get_manifest(name, reference)

    def list_referrers(self, name: RepositoryName, subject: Digest) -> list[Descriptor]:
        """Manifests of this repository that name `subject`."""
        return self._store.list_referrers(name, subject)

    def find_manifest(self, digest: Digest) -> RepositoryName | None:
        """The first repository that has this manifest."""
        with self._store.snapshot() as snapshot:
            return next((name for name in snapshot.repositories() if snapshot.has_manifest(name, digest)), None)

    def has_blob(self, digest: Digest) -> bool:
        """Whether the bytes of a blob are here."""
        return self._store.find_blob(digest) is not None

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes of a blob from `offset` on.

        Raises:
            BlobUnknown: the store has no such blob.
            StorageUnusable: its file is gone, or the disk refuses.
        """
        with self._store.snapshot() as snapshot:
            stored = snapshot.blob(blob.digest)
        if stored is None:
            raise BlobUnknown(f"{name} has no {blob.digest}")
        with self._store.open_blob(stored) as file, disk_errors(self._store.blobs.path(stored.root, stored.digest)):
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk
