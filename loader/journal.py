"""What a load remembers of a bundle: to know it again, to go on after a kill, to name images when the signature holds.

A next load relies on it without reading the bundle, so what it may rely on is decided here, in `recall`:

- It has to be of the form that is written here; of another version's nothing is read.
- The bundle has to be the same by its size, by samples of its content, and by what the file system says of it.
- All that its images need has to be in the store still.
- With a signature to check, a finished journal counts only if its load checked this very signature with this very
  key, and if the file was not touched since. One that breaks off in the middle counts as far as the file begins with
  the bytes that it was made of: they are hashed again, all of them, and compared before any image gets a name.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Final, Self

from loader.candidate import Candidate
from loader.checkpoint import Checkpoint
from loader.errors import JournalForeign
from loader.identity import Identity, Stamp
from loader.signature import Proof
from loader.source import Source
from registry.storage.journals import Journals
from registry.storage.store import Store

# What waits to be written, in bytes: a checkpoint of a bundle comes every 64 MiB only.
_PENDING = 8 * 1024 * 1024
_BATCH = 64
_FORM: Final = 2  # of heads and rows; whoever changes what either holds counts it up


@dataclass(frozen=True, slots=True)
class Head:
    """How much of a bundle's journal a next load can rely on: all of it, or with a checkpoint the first members."""

    stamp: Stamp
    count: int
    is_finished: bool = False
    checkpoint: Checkpoint | None = None
    end: int = 0
    """Where in the bundle's tar those members end."""
    proof: Proof | None = None
    """What the whole file was proven by."""

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self | None:
        """What `to_json` made this of; None of a journal that only began.

        Raises:
            JournalForeign: another version's made it.
        """
        if "stamp" not in document:
            return None
        if document.get("form") != _FORM:
            raise JournalForeign(
                "an earlier load of the bundle was by another version of k0rdentd, and is not gone on with: "
                "this one reads the bundle from its beginning"
            )
        checkpoint, proof = document["checkpoint"], document["proof"]
        return cls(
            Stamp(**document["stamp"]),  # type: ignore[arg-type]
            int(str(document["count"])),
            bool(document["is_finished"]),
            Checkpoint.from_json(checkpoint) if isinstance(checkpoint, dict) else None,
            int(str(document["end"])),
            Proof(**proof) if isinstance(proof, dict) else None,
        )

    def to_json(self) -> dict[str, object]:
        """For the index."""
        checkpoint = None if self.checkpoint is None else self.checkpoint.to_json()
        return asdict(replace(self, checkpoint=None)) | {"checkpoint": checkpoint, "form": _FORM}


def recall(store: Store, identity: Identity, check: Proof | None) -> Head | None:
    """What an earlier load of this bundle has done, if this one can rely on it.

    `check` is what this load is to prove, its SHA-256 apart, which only reading the file tells.

    Raises:
        JournalForeign: it was of another version, and left nothing to be relied on.
    """
    document = Journals(store.index).head(identity.key)
    head = None if document is None else Head.from_json(document)
    if head is None or not identity.stamp.allows(head.stamp) or not _counts(head, identity.stamp, check):
        return None
    known = _candidates(store, identity.key, head.count, head.count)
    return head if all(_is_whole(each, store) for each in known) else None


def _counts(head: Head, stamp: Stamp, check: Proof | None) -> bool:
    if head.checkpoint is not None:  # its images have names if nobody was to check, and only then
        return (head.checkpoint.sha256 != "") == (check is not None)
    if check is None:
        return True
    return head.proof is not None and head.proof.is_by(check) and head.stamp == stamp


def _is_whole(candidate: Candidate, store: Store) -> bool:
    image = candidate.image
    return candidate.error is None and (image is None or all(store.blobs.has(blob) for blob in image.blobs))


class Journal:
    """Follows a load: how far from its beginning the bundle is done with.

    Without an identity there is no next load that could know the bundle, and nothing stays.
    """

    def __init__(self, store: Store, identity: Identity | None, known: Head | None) -> None:
        self._store = store
        self._rows = Journals(store.index)
        self._identity = identity
        self._key = identity.key if identity else f"pipe {uuid.uuid4()}"
        self._known = self._count = known.count if known else 0
        self._reliable = self._count
        self._has_failed = False
        self._pending: dict[int, bytes] = {}
        self._pending_size = 0
        if known is None:
            self._rows.begin(self._key)

    def add(self, candidate: Candidate, source: Source) -> None:
        """The next one behind those that are known, and now in the store.

        Members up to the first that failed are done with for good; the next load looks at all behind it again.
        """
        self._count += 1
        row = candidate.to_row()
        self._pending[self._count] = row
        self._pending_size += len(row)
        self._has_failed = self._has_failed or candidate.error is not None
        checkpoint = None
        if not self._has_failed:
            self._reliable = self._count
            checkpoint = source.checkpoint(candidate.end)
        if checkpoint is not None and self._identity is not None:
            self._write(self._head(checkpoint=checkpoint, end=candidate.end))
        elif self._pending_size > _PENDING or len(self._pending) == _BATCH:
            self._write(None)

    def known(self) -> Iterator[list[Candidate]]:
        """Those that need no reading, in batches."""
        candidates = _candidates(self._store, self._key, self._known, self._known)
        while batch := list(islice(candidates, _BATCH)):
            yield batch

    def all(self) -> Iterator[Candidate]:
        """Every candidate, in order, a page of them in memory."""
        self._write(None)
        return _candidates(self._store, self._key, self._count, self._known)

    def fail(self) -> None:
        """One could not be named."""
        self._has_failed = True

    def finish(self, proof: Proof | None) -> None:
        """The whole bundle has been read, and all of it has its name."""
        if self._identity is None:
            self.forget()
        elif not self._has_failed:
            self._write(self._head(is_finished=True, proof=proof))

    def forget(self) -> None:
        """What was read is not to be relied on."""
        self._rows.forget(self._key)

    def _head(
        self,
        *,
        is_finished: bool = False,
        checkpoint: Checkpoint | None = None,
        end: int = 0,
        proof: Proof | None = None,
    ) -> Head:
        assert self._identity is not None
        return Head(self._identity.stamp, self._reliable, is_finished, checkpoint, end, proof)

    def _write(self, head: Head | None) -> None:
        if self._pending or head is not None:
            self._rows.write(self._key, None if head is None else head.to_json(), self._pending)
            self._pending, self._pending_size = {}, 0


def _candidates(store: Store, key: str, count: int, known: int) -> Iterator[Candidate]:
    for number, row in enumerate(Journals(store.index).entries(key, count), 1):
        with store.snapshot() as snapshot:
            candidate = Candidate.from_row(row, snapshot, is_known=number <= known)
        yield candidate
