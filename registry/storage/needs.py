"""What a repository's tags keep: which manifests are still of use, which blobs those need, and what is left over."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName
from registry.storage import inventory
from registry.storage.index import Snapshot


@dataclass(frozen=True, slots=True)
class Need:
    """What a manifest points to."""

    children: tuple[Digest, ...] = ()
    blobs: tuple[Digest, ...] = ()
    subject: Digest | None = None


@dataclass(frozen=True, slots=True)
class LeftOver:
    """What may leave a repository; with manifests to go, their blobs wait until those are gone."""

    manifests: tuple[tuple[Digest, Need], ...] = ()
    links: tuple[Digest, ...] = ()
    empty: bool = False

    def part(self, rows: int) -> Self:
        """No more than so many rows of a kind."""
        return replace(self, manifests=self.manifests[:rows], links=self.links[:rows])


@dataclass(slots=True)
class Repository:
    """One repository, looked at in several snapshots; manifests never change, so each is parsed once."""

    name: RepositoryName
    _known: dict[Digest, Need] = field(default_factory=dict)
    _pretended: tuple[set[Digest], set[Digest]] = field(default_factory=lambda: (set(), set()))

    def pretend(self, found: LeftOver) -> None:
        """Take this for removed, as a dry run does."""
        self._pretended[0].update(digest for digest, _ in found.manifests)
        self._pretended[1].update(found.links)

    def manifests(self, snapshot: Snapshot) -> Iterator[inventory.Revision]:
        """Those it has."""
        return (each for each in inventory.revisions(snapshot, self.name) if each.digest not in self._pretended[0])

    def links(self, snapshot: Snapshot) -> Iterator[Digest]:
        """The blobs it sees."""
        return (each for each in inventory.links(snapshot, self.name) if each not in self._pretended[1])

    def left_over(self, snapshot: Snapshot, before: float, *, untagged: bool) -> LeftOver:
        """What nothing needs, and of which no client was told since `before`.

        With `untagged` that includes manifests that no tag leads to: neither itself, nor an index
        above it, nor a subject that is kept. One manifest that cannot be read keeps everything.
        """
        revisions = {each.digest: each for each in self.manifests(snapshot)}
        try:
            needs = {digest: self._need(snapshot, digest) for digest in revisions}
        except OCIError:
            return LeftOver()
        if untagged:
            roots = {digest for _, digest in snapshot.tags(self.name)}
            roots |= {each.digest for each in revisions.values() if each.since >= before}
            useless = needs.keys() - _reached(roots, needs)
            if useless:
                return LeftOver(manifests=tuple(_parents_first(useless, needs)))
        links = tuple(self._useless_links(snapshot, needs.values(), before))
        return LeftOver(links=links, empty=not revisions and self._is_empty(snapshot))

    def _useless_links(self, snapshot: Snapshot, needs: Iterable[Need], before: float) -> Iterable[Digest]:
        needed = {blob for need in needs for blob in need.blobs}
        for digest in self.links(snapshot):
            if digest not in needed and inventory.last_told(snapshot, digest) < before:
                yield digest

    def _is_empty(self, snapshot: Snapshot) -> bool:
        content = itertools.chain(self.links(snapshot), snapshot.tags(self.name))
        return snapshot.has_repository(self.name) and next(content, None) is None

    def _need(self, snapshot: Snapshot, digest: Digest) -> Need:
        if digest not in self._known:
            stored = snapshot.manifest(self.name, digest)
            if stored is None:
                return Need()  # its bytes are lost, which fsck tells
            manifest = Manifest.parse(stored.body, stored.media_type)
            children = tuple(child.digest for child in manifest.children)
            blobs = tuple(blob.digest for blob in manifest.blobs)
            self._known[digest] = Need(children, blobs, manifest.subject.digest if manifest.subject else None)
        return self._known[digest]


def _reached(roots: Iterable[Digest], needs: Mapping[Digest, Need]) -> set[Digest]:
    """The manifests below the roots, and those that refer to any of these."""
    referrers: dict[Digest, list[Digest]] = {}
    for digest, need in needs.items():
        if need.subject is not None:
            referrers.setdefault(need.subject, []).append(digest)
    reached: set[Digest] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest in needs and digest not in reached:
            reached.add(digest)
            waiting += [*needs[digest].children, *referrers.get(digest, ())]
    return reached


def _parents_first(useless: set[Digest], needs: Mapping[Digest, Need]) -> Iterable[tuple[Digest, Need]]:
    """Those that none of the others lists: no index stays behind without its children, wherever gc is killed."""
    listed = {child for digest in useless for child in needs[digest].children}
    return ((digest, needs[digest]) for digest in sorted(useless - listed))
