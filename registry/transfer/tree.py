"""An image as a tree: the manifest behind a name, the manifests below it, and the blobs all of them need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid, ManifestUnknown
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName, TagOrDigest
from registry.transfer.source import Source

# Of one image; a stranger's index must not fill the memory or the stack.
_DOCUMENT_BYTES = 64 * 1024 * 1024
_DEPTH = 16
_MANIFESTS = 10_000
_REFERRERS = 10_000


@dataclass(frozen=True, slots=True)
class Tree:
    """All that a name stands for; manifests come behind those that they list, the root last."""

    repository: RepositoryName
    root: Digest
    manifests: tuple[tuple[Digest, Manifest], ...]
    missing: tuple[Digest, ...]
    """Children that the source does not have: its index is sparse."""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs of all manifests, each once."""
        return tuple({blob.digest: blob for _, manifest in self.manifests for blob in manifest.blobs}.values())

    @property
    def size(self) -> int:
        """The bytes of manifests and blobs together."""
        return sum(len(manifest.body) for _, manifest in self.manifests) + sum(blob.size for blob in self.blobs)


def read_tree(source: Source, name: RepositoryName, reference: TagOrDigest) -> Tree:
    """The tree behind a tag or digest.

    Raises:
        ManifestUnknown: there is none.
        ManifestInvalid: a document in it is no manifest, or it is too large or too deep.
    """
    stored = source.get_manifest(name, reference)
    walk = _Walk(source, name)
    walk.add(stored.digest, Manifest.parse(stored.body, stored.media_type), _DEPTH)
    return Tree(name, stored.digest, tuple(walk.manifests.items()), tuple(walk.missing))


def read_referrers(source: Source, tree: Tree) -> Iterator[Tree]:
    """The trees of signatures and the like that name any manifest of `tree`, and those that name them."""
    seen = {digest for digest, _ in tree.manifests}
    waiting = sorted(seen)
    while waiting:
        for descriptor in source.list_referrers(tree.repository, waiting.pop()):
            if descriptor.digest in seen:
                continue
            if len(seen) > _REFERRERS:
                raise ManifestInvalid(f"more than {_REFERRERS} manifests refer to {tree.repository}@{tree.root}")
            try:
                found = read_tree(source, tree.repository, descriptor.digest)
            except ManifestUnknown:  # taken away since it was listed
                continue
            fresh = _digests(found) - seen
            seen |= fresh
            waiting += sorted(fresh)
            yield found


def _digests(tree: Tree) -> set[Digest]:
    return {digest for digest, _ in tree.manifests}


@dataclass(slots=True)
class _Walk:
    source: Source
    name: RepositoryName
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    missing: dict[Digest, None] = field(default_factory=dict)
    left: int = _DOCUMENT_BYTES

    def add(self, digest: Digest, manifest: Manifest, depth: int) -> None:
        self.left -= len(manifest.body)
        if depth == 0 or self.left < 0:
            raise ManifestInvalid(f"{self.name}: its manifests are nested too deep, or too large together")
        self._add_all(manifest.children, depth - 1)
        self.manifests[digest] = manifest

    def _add_all(self, children: Iterable[Descriptor], depth: int) -> None:
        for child in children:
            if child.digest in self.manifests or child.digest in self.missing:
                continue
            if len(self.manifests) + len(self.missing) >= _MANIFESTS:
                raise ManifestInvalid(f"{self.name}: an index lists more than {_MANIFESTS} manifests")
            try:
                stored = self.source.get_manifest(self.name, child.digest)
            except ManifestUnknown:
                self.missing[child.digest] = None
                continue
            self.add(child.digest, Manifest.parse(stored.body, child.media_type), depth)
