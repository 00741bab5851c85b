"""Every image of a store with its size: what `k0rdentd store ls` shows."""

from collections.abc import Iterator
from dataclasses import dataclass

from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference, RepositoryName
from registry.storage.index import Snapshot
from registry.storage.store import Store


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image that can be pulled; `size` is that of its manifests and all blobs they need, in bytes."""

    reference: Reference
    digest: Digest
    size: int


def list_images(store: Store) -> Iterator[ListedImage]:
    """Every tag of every repository, in order, from one snapshot."""
    with store.snapshot() as snapshot:
        for name in snapshot.repositories():
            for tag, digest in snapshot.tags(name):
                yield ListedImage(Reference(name, tag), digest, sum(_sizes(snapshot, name, digest).values()))


def _sizes(snapshot: Snapshot, name: RepositoryName, digest: Digest) -> dict[Digest, int]:
    """Of a manifest, the manifests below it and their blobs, each digest once."""
    sizes: dict[Digest, int] = {}
    waiting = [digest]
    while waiting:
        stored = snapshot.manifest(name, waiting.pop())
        if stored is not None and stored.digest not in sizes:
            manifest = Manifest.parse(stored.body, stored.media_type)
            sizes |= {blob.digest: blob.size for blob in manifest.blobs}
            sizes[stored.digest] = len(stored.body)
            waiting += [child.digest for child in manifest.children]
    return sizes
