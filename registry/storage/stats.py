"""What a store holds, counted over one snapshot."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.storage import inventory
from registry.storage.index import Snapshot
from registry.storage.roots import free_bytes
from registry.storage.store import Store


@dataclass(frozen=True, slots=True)
class RootStats:
    """One storage root; sizes in bytes."""

    path: Path
    blobs: int
    bytes: int
    free: int


@dataclass(frozen=True, slots=True)
class RepositoryStats:
    """One repository: what it would take alone, and how much of that others use as well."""

    name: RepositoryName
    tags: int
    manifests: int
    blobs: int
    bytes: int
    shared: int


@dataclass(frozen=True, slots=True)
class Stats:
    """The whole store; `unshared` is what it would take if each repository had its own copies."""

    repositories: tuple[RepositoryStats, ...]
    roots: tuple[RootStats, ...]
    manifests: int
    blobs: int
    bytes: int

    @property
    def tags(self) -> int:
        return sum(each.tags for each in self.repositories)

    @property
    def unshared(self) -> int:
        return sum(each.bytes for each in self.repositories)


def measure(store: Store) -> Stats:
    """Of the index, which is true of the files as far as fsck finds nothing."""
    with store.index.snapshot() as snapshot:
        sizes = {blob.digest: blob.size for blob, _ in inventory.blobs(snapshot)}
        bodies = {digest: len(body) for digest, body in inventory.manifests(snapshot)}
        blobs_by_root: Counter[int] = Counter()
        bytes_by_root: Counter[int] = Counter()
        for blob, _ in inventory.blobs(snapshot):
            blobs_by_root[blob.root] += 1
            bytes_by_root[blob.root] += blob.size
        names = list(inventory.repositories(snapshot))
        users = Counter(digest for name in names for digest in _content(snapshot, name))
        repositories = tuple(_repository(snapshot, name, sizes | bodies, users) for name in names)
    roots = tuple(
        RootStats(root.layout.root, blobs_by_root[root.number], bytes_by_root[root.number], free_bytes(root))
        for root in store.blobs.roots
    )
    return Stats(repositories, roots, len(bodies), len(sizes), sum(sizes.values()) + sum(bodies.values()))


def _content(snapshot: Snapshot, name: RepositoryName) -> set[Digest]:
    return {*inventory.links(snapshot, name), *(each.digest for each in inventory.revisions(snapshot, name))}


def _repository(
    snapshot: Snapshot, name: RepositoryName, sizes: dict[Digest, int], users: Counter[Digest]
) -> RepositoryStats:
    content = _content(snapshot, name)
    return RepositoryStats(
        name,
        tags=sum(1 for _ in snapshot.tags(name)),
        manifests=sum(1 for _ in inventory.revisions(snapshot, name)),
        blobs=sum(1 for _ in inventory.links(snapshot, name)),
        bytes=sum(sizes.get(digest, 0) for digest in content),
        shared=sum(sizes.get(digest, 0) for digest in content if users[digest] > 1),
    )
