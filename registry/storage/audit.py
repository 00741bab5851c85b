"""The history of the tags checked from its first record to its last, and against the tags of today."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from registry.oci.digest import Digest
from registry.oci.reference import Reference
from registry.storage import history
from registry.storage.environment import Rows
from registry.storage.errors import HistoryBroken
from registry.storage.history import NO_RECORD, Event, Head, Record
from registry.storage.store import Store


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found, over one snapshot."""

    first: Record | None
    last: Record | None
    head: Head
    """The newest record that is there, and its hash; what an auditor notes."""
    broken: str | None
    """The first broken link."""
    strays: tuple[str, ...]
    """Tags that are not what the chain says."""
    tags: int
    noted: int | None
    """The record that was the head when it was noted; 0 where there is none."""

    @property
    def holds(self) -> bool:
        return self.broken is None and not self.strays and self.noted != 0


def audit(store: Store, noted: str | None = None) -> Audit:
    """Walk the whole chain; `noted` is the hash of a record that has to be in it, such as an earlier head."""
    walk = _Walk(noted)
    with store.snapshot() as snapshot:
        for number, row in history.chain(snapshot.rows):
            walk.take(number, row)
        walk.end(snapshot.rows)
        tags = dict(history.tags(snapshot.rows))
    strays = (*walk.strays, *_differences(walk.tags, tags))
    found = None if noted is None else walk.found
    return Audit(walk.first, walk.last, walk.behind, walk.broken, strays, len(tags), found)


@dataclass(slots=True)
class _Walk:
    """The chain up to a record: the hash that the next one has to hold, and what the tags are by then."""

    noted: str | None
    behind: Head = NO_RECORD
    broken: str | None = None
    first: Record | None = None
    last: Record | None = None
    found: int = 0
    tags: dict[Reference, Digest] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)

    def take(self, number: int, row: bytes) -> None:
        """Go on to the next row; what breaks the chain is kept, and the walk goes on behind it."""
        own = history.hash_of(row)
        if own == self.noted:
            self.found = number
        try:
            record = Record.from_row(row)
            self.first, self.last = self.first or record, record
            self._follow(record)
            self._require_link(number, record)
        except HistoryBroken as error:
            self.broken = self.broken or f"record {number}: {error}"
        self.behind = Head(number, own)

    def end(self, rows: Rows) -> None:
        """Compare the newest record with what was written down of it."""
        written = history.head(rows)
        if self.broken is not None or written == self.behind:
            return
        if written is None:
            self.broken = "the head is missing" if self.behind.number else "there is no chain, and no record"
        elif written.number != self.behind.number:
            self.broken = f"the newest record was {written.number}, and {self.behind.number} is the last one here"
        else:
            self.broken = f"record {written.number}: it is not what was written: {_two(written.hash, self.behind.hash)}"

    def _require_link(self, number: int, record: Record) -> None:
        if number != self.behind.number + 1:
            raise HistoryBroken(f"it follows record {self.behind.number}, those in between are missing")
        if record.number != number:
            raise HistoryBroken(f"it was written as record {record.number}")
        if record.previous != self.behind.hash:
            said = _two(record.previous, self.behind.hash)
            raise HistoryBroken(f"its link to record {self.behind.number} is broken, one of them was changed: {said}")
        if (number == 1) != (record.event is Event.BEGUN):
            raise HistoryBroken("a chain begins with record 1, and only there")

    def _follow(self, record: Record) -> None:
        reference = record.reference
        if reference is None:
            return
        if self.tags.get(reference) != record.before and record.event is not Event.FOUND:
            known, met = _named(self.tags.get(reference)), _named(record.before)
            self.strays.append(f"{reference}: record {record.number} met {met}, and the chain had {known} by then")
        if record.digest is None:
            self.tags.pop(reference, None)
        else:
            self.tags[reference] = record.digest


def _differences(expected: dict[Reference, Digest], tags: dict[Reference, Digest]) -> Iterator[str]:
    for reference in sorted(expected.keys() | tags.keys()):
        said, found = expected.get(reference), tags.get(reference)
        if said != found:
            yield f"{reference} is {_named(found)}, and the chain says {_named(said)}"


def _named(digest: Digest | None) -> str:
    return "no tag" if digest is None else str(digest)


def _two(written: str, found: str) -> str:
    return f"its SHA-256 was {written} and is {found}"
