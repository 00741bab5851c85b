"""Where images go; a store is one such place."""

from collections.abc import Callable
from typing import Protocol

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage.history import Cause
from registry.storage.store import Image, Store
from registry.storage.uploads import LOAD_PREFIX
from registry.transfer.source import Chunks
from registry.transfer.tree import Tree

Read = Callable[[int], Chunks]
"""A blob's bytes from an offset on; they are checked before the last of them is given out."""


class Target(Protocol):
    """A place that images can be written to, by several threads at once."""

    def tagged(self, name: RepositoryName, tag: Tag) -> Digest | None:
        """What a tag stands for there."""

    def has_manifest(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the repository has this manifest, and so all that it needs."""

    def has_blob(self, name: RepositoryName, blob: Descriptor) -> bool:
        """Whether the repository has this blob, or can see it from now on without a transfer."""

    def put_blob(self, name: RepositoryName, blob: Descriptor, read: Read, mount_from: RepositoryName | None) -> None:
        """Bring a blob, or let the repository see that of `mount_from`; durable when it returns."""

    def publish(self, tree: Tree, tag: Tag | None) -> None:
        """Let an image be seen whose blobs are there."""


class StoreTarget:
    """A store to write to; the caller holds `Store.loads.alone()`."""

    def __init__(self, store: Store, cause: Cause) -> None:
        self._store = store
        self._cause = cause

    def tagged(self, name: RepositoryName, tag: Tag) -> Digest | None:
        """What a tag stands for."""
        try:
            return self._store.get_manifest(name, tag).digest
        except ManifestUnknown:
            return None

    def has_manifest(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the repository has this manifest."""
        with self._store.snapshot() as snapshot:
            return snapshot.has_manifest(name, digest)

    def has_blob(self, name: RepositoryName, blob: Descriptor) -> bool:
        """Whether the store has this blob; the repository sees it from then on."""
        with self._store.snapshot() as snapshot:
            if snapshot.has_link(name, blob.digest):
                return True
            stored = snapshot.blob(blob.digest)
        return stored is not None and self._store.mount_blob(name, blob.digest, None)

    def put_blob(self, name: RepositoryName, blob: Descriptor, read: Read, mount_from: RepositoryName | None) -> None:
        """Write a blob, and let the repository see it.

        Raises:
            DigestInvalid, SizeInvalid: it is not what its descriptor says. Nothing is left of it.
            StorageFull: the disk is.
        """
        with self._store.blobs.create(blob.digest, prefix=LOAD_PREFIX) as writer:
            for chunk in read(0):
                writer.write(chunk)
            self._store.add_blob(name, writer.commit(blob.digest, blob.size))

    def publish(self, tree: Tree, tag: Tag | None) -> None:
        """Let the image be seen, whole, in one transaction; without a tag, manifest by manifest.

        Raises:
            ManifestBlobUnknown: the store lacks what it needs.
        """
        if tag is not None:
            image = Image(Reference(tree.repository, tag), tree.root, tree.manifests, ())
            self._store.publish(image, cause=self._cause)
            return
        for digest, manifest in tree.manifests:
            self._store.put_manifest(tree.repository, digest, manifest, ())
