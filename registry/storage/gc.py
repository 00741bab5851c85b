"""What nobody needs any more, taken away while the store is in use.

Candidates are found in a snapshot, without a lock. A short write transaction then looks again, by
the very same rule, and removes rows; files go after it is durable. Why nothing is lost by this:

- A manifest is pushed, and a tag set, in one transaction that looks for what it needs. It comes
  before ours, and then we see that the links are needed; or after, and then it is refused.
- What a client was told is here stays for the grace period, though no manifest needs it yet. The
  row of a blob has the time of its last upload or mount, that of a manifest the time at which it
  was pushed or lost a tag.
- A file is removed only while nobody else can change the index, when no row names it, and when it
  is older than the grace period (by its inode, which a rename makes new). Whoever puts a file in
  place names it in a transaction that looks whether the file is there. So a writer whose file was
  about to go finds either the file, with its new age, or in the worst case that it is gone, and
  then answers with an error; never with a promise.
- A load counts for hours on blobs that it has seen in the index and on files that have no row yet.
  It shares a lock that gc takes alone, for moments, to remove blobs: while a load runs none goes.
- A kill leaves files without a row, never a row without its file. The next gc removes them.

On a full disk files that have no row go first, since that takes no room; see `reserve.py`.
"""

import enum
import itertools
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.storage import inventory
from registry.storage.blobs import StoredBlob
from registry.storage.care import Run
from registry.storage.errors import StorageBusy
from registry.storage.index import Change, Snapshot
from registry.storage.locks import locked
from registry.storage.needs import LeftOver, Repository
from registry.storage.reserve import spending
from registry.storage.store import Store

# Rows that one transaction removes: pushes wait for it, and each changed page takes room on the disk.
_ROWS = 500
# To see that no repository has a blob, all of them are asked: so many questions in one transaction.
_QUESTIONS = 20_000


class Kind(enum.Enum):
    """What was removed."""

    UPLOAD = "upload"
    FILE = "file"
    MANIFEST = "manifest"
    BODY = "body"
    LINK = "link"
    REPOSITORY = "repository"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class Removed:
    """One thing that is gone, or would be; `size` is what the disk gets back."""

    kind: Kind
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept: `grace` and `upload_age` in seconds."""

    grace: float = 3600
    upload_age: float = 24 * 3600
    untagged: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Collection:
    """One gc of one store: iterate `removals()`, then read `postponed`."""

    store: Store
    policy: Policy
    postponed: bool = False
    """A load is running: blobs are left for the next gc."""
    _repositories: list[Repository] = field(default_factory=list)

    def removals(self) -> Iterator[Removed]:
        """Each thing as soon as it is gone, or, of a dry run, would be.

        Raises:
            StorageBusy: another gc is running.
            StorageFull: the index cannot be changed, not even with what is kept back. What was given out is gone.
        """
        with locked(self.store.layout.gc_lock) as alone:
            if not alone:
                raise StorageBusy("another gc of this store is running: wait for it")
            if self.policy.dry_run:
                yield from self._phases()
                return
            self.store.index.require_writable()
            with spending(self.store.layout.reserve):
                yield from self._counted(self._phases())

    def _counted(self, removals: Iterator[Removed]) -> Iterator[Removed]:
        run = Run("gc")
        try:
            for each in removals:
                run.add(each.kind.value, each.size)
                yield each
            run.complete = not self.postponed
        finally:
            run.keep(self.store)

    def _phases(self) -> Iterator[Removed]:
        yield from self._uploads()
        yield from self.stray_files()
        with self.store.index.snapshot() as snapshot:
            self._repositories = [Repository(name) for name in inventory.repositories(snapshot)]
        for repository in self._repositories:
            yield from self._repository(repository)
        for manifests in self._batches(self._unused_manifests()):
            yield from self._forget_manifests(manifests)
        for blobs in self._batches(self._unused_blobs()):
            yield from self._while_no_load_runs(partial(self._remove_blobs, blobs))

    @property
    def _before(self) -> float:
        """Without a grace period no time counts, so that what came under a clock that was ahead can go."""
        return time.time() - self.policy.grace if self.policy.grace > 0 else math.inf

    # Files that have no row

    def _uploads(self) -> Iterator[Removed]:
        age = self.policy.upload_age
        sizes = self.store.uploads.abandoned(age)
        for upload in sizes if self.policy.dry_run else self.store.uploads.expire(age):
            yield Removed(Kind.UPLOAD, upload, sizes.get(upload, 0))
        yield from self._while_no_load_runs(self._remove_load_files)

    def _remove_load_files(self) -> list[Removed]:
        files = self.store.loads.files()
        removed = [Removed(Kind.UPLOAD, path.name, path.stat().st_size) for path in files]
        if not self.policy.dry_run:
            self.store.loads.remove_files()
        return removed

    def stray_files(self) -> Iterator[Removed]:
        """Left by killed loads and pushes, or beside a row that names another root."""
        for root in self.store.blobs.roots:
            files = self.store.blobs.files(root)
            while batch := list(itertools.islice(files, _ROWS)):
                with self.store.index.snapshot() as snapshot:
                    spare = [digest for digest in batch if not _is_named(snapshot, root.number, digest)]
                if spare:
                    yield from self._while_no_load_runs(partial(self._remove_files, root.number, spare))

    def _remove_files(self, root: int, digests: Iterable[Digest]) -> list[Removed]:
        sizes = {digest: self._remove_file(root, digest) for digest in digests}
        return [Removed(Kind.FILE, str(digest), size) for digest, size in sizes.items() if size is not None]

    def _remove_file(self, root: int, digest: Digest) -> int | None:
        """Its size; None where it is gone, too young, or has a name meanwhile."""
        path = self.store.blobs.path(root, digest)
        with self.store.index.alone() as snapshot:
            facts = _facts(path)
            if facts is None or facts.st_ctime > self._before or _is_named(snapshot, root, digest):
                return None
            if not self.policy.dry_run:
                path.unlink()
            return facts.st_size

    # Rows of one repository

    def _repository(self, repository: Repository) -> Iterator[Removed]:
        while True:
            with self.store.index.snapshot() as snapshot:
                found = self._left_over(repository, snapshot)
            if found == LeftOver():
                return
            if self.policy.dry_run:
                repository.pretend(found)
            else:
                found = self._clear(repository)
            yield from _told(repository.name, found)
            if found.empty:
                return

    def _left_over(self, repository: Repository, snapshot: Snapshot) -> LeftOver:
        return repository.left_over(snapshot, self._before, untagged=self.policy.untagged).part(_ROWS)

    def _clear(self, repository: Repository) -> LeftOver:
        name = repository.name
        with self.store.index.change() as change:
            found = self._left_over(repository, change)
            for digest, need in found.manifests:
                inventory.delete_revision(change, name, digest)
                if need.subject is not None:
                    inventory.delete_referral(change, name, need.subject, digest)
            for digest in found.links:
                change.unlink_blob(name, digest)
            if found.empty:
                inventory.delete_repository(change, name)
        return found

    # Rows of the whole store

    def _unused_manifests(self) -> list[Digest]:
        with self.store.index.snapshot() as snapshot:
            used = {each.digest for repository in self._repositories for each in repository.manifests(snapshot)}
            return [digest for digest, _ in inventory.manifests(snapshot) if digest not in used]

    def _forget_manifests(self, digests: Iterable[Digest]) -> list[Removed]:
        if self.policy.dry_run:
            return [Removed(Kind.BODY, str(digest)) for digest in digests]
        with self.store.index.change() as change:
            names = list(inventory.repositories(change))
            unused = [digest for digest in digests if not any(change.has_manifest(name, digest) for name in names)]
            for digest in unused:
                inventory.delete_manifest(change, digest)
        return [Removed(Kind.BODY, str(digest)) for digest in unused]

    def _unused_blobs(self) -> list[Digest]:
        with self.store.index.snapshot() as snapshot:
            used = {digest for repository in self._repositories for digest in repository.links(snapshot)}
            old = (blob.digest for blob, told in inventory.blobs(snapshot) if told < self._before)
            return [digest for digest in old if digest not in used]

    def _remove_blobs(self, digests: Iterable[Digest]) -> list[Removed]:
        blobs = self._useless_blobs(digests) if self.policy.dry_run else self._forget_blobs(digests)
        for blob in blobs:
            if not self.policy.dry_run and self.store.blobs.has(blob):
                self._remove_file(blob.root, blob.digest)
        return [Removed(Kind.BLOB, str(blob.digest), blob.size) for blob in blobs]

    def _useless_blobs(self, digests: Iterable[Digest]) -> list[StoredBlob]:
        with self.store.index.snapshot() as snapshot:
            found = [snapshot.blob(digest) for digest in digests]
        return [blob for blob in found if blob is not None and not self._is_young(blob)]

    def _forget_blobs(self, digests: Iterable[Digest]) -> list[StoredBlob]:
        with self.store.index.change() as change:
            names = list(inventory.repositories(change))
            return [blob for digest in digests if (blob := self._forget_blob(change, names, digest)) is not None]

    def _forget_blob(self, change: Change, names: Iterable[RepositoryName], digest: Digest) -> StoredBlob | None:
        blob = change.blob(digest)
        if blob is None or inventory.last_told(change, digest) >= self._before or self._is_young(blob):
            return None
        if any(change.has_link(name, digest) for name in names):
            return None
        inventory.delete_blob(change, digest)
        return blob

    def _is_young(self, blob: StoredBlob) -> bool:
        """Whether somebody has just put the file in place once more, and is about to say so in the index."""
        if not self.store.blobs.has(blob):
            return False
        facts = _facts(self.store.blobs.path(blob.root, blob.digest))
        return facts is not None and facts.st_ctime > self._before

    def _batches(self, digests: list[Digest]) -> Iterator[list[Digest]]:
        size = max(1, min(_ROWS, _QUESTIONS // max(1, len(self._repositories))))
        return (digests[first : first + size] for first in range(0, len(digests), size))

    def _while_no_load_runs(self, remove: Callable[[], list[Removed]]) -> list[Removed]:
        with locked(self.store.layout.removal_lock, folder=True) as alone:
            if alone:
                return remove()
        self.postponed = True
        return []


def _told(name: RepositoryName, found: LeftOver) -> Iterator[Removed]:
    for digest, _ in found.manifests:
        yield Removed(Kind.MANIFEST, f"{name}@{digest}")
    for digest in found.links:
        yield Removed(Kind.LINK, f"{name}@{digest}")
    if found.empty:
        yield Removed(Kind.REPOSITORY, name)


def _is_named(snapshot: Snapshot, root: int, digest: Digest) -> bool:
    blob = snapshot.blob(digest)
    return blob is not None and blob.root == root


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
