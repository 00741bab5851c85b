"""What a load remembers of a bundle in the index: to know it again when it is done, and to go on when it was killed."""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Self

from loader.checkpoint import Checkpoint
from loader.complete import is_complete
from loader.identity import Identity, Stamp
from loader.report import Outcome, Status
from loader.selection import Selection
from loader.source import Member, Source
from registry.storage.store import Store


@dataclass(frozen=True, slots=True)
class Record:
    """Members of a bundle that are done with; all of them, unless there is a checkpoint behind them."""

    outcomes: tuple[Outcome, ...]
    checkpoint: Checkpoint | None = None
    end: int = 0
    """Where in the bundle's tar the members end."""

    @classmethod
    def find(cls, store: Store, identity: Identity, selection: Selection) -> Self | None:
        """What is remembered of this very bundle, if all of it is still there."""
        with store.snapshot() as snapshot:
            row = snapshot.load_state(identity.key)
            if row is None or not identity.stamp.allows(Stamp(**row["stamp"])):  # type: ignore[arg-type]
                return None
            record = cls.from_row(row)
            images = [(each.reference, each.digest) for each in record.outcomes]
            is_whole = all(is_complete(snapshot, name, root, selection) for name, root in images if name and root)
        return record if is_whole else None

    @classmethod
    def from_row(cls, row: dict[str, object]) -> Self:
        """What `to_row` made this of."""
        members, checkpoint = row["members"], row.get("checkpoint")
        assert isinstance(members, list)
        outcomes = tuple(_again(Outcome.from_json(member)) for member in members)
        if not isinstance(checkpoint, dict):
            return cls(outcomes)
        return cls(outcomes, Checkpoint.from_json(checkpoint), int(str(row["end"])))

    def to_row(self, identity: Identity) -> dict[str, object]:
        """As the index keeps it."""
        row: dict[str, object] = {
            "stamp": asdict(identity.stamp),
            "members": [outcome.to_json() for outcome in self.outcomes],
        }
        return row if self.checkpoint is None else row | {"checkpoint": self.checkpoint.to_json(), "end": self.end}


class Journal:
    """Follows a load: how far from its beginning the bundle is done with, and what a next load need not look at."""

    def __init__(self, store: Store, identity: Identity | None, done: Sequence[Outcome]) -> None:
        self._store = store
        self._identity = identity
        self._done = list(done)
        self._under_way: deque[tuple[Member, list[Outcome]]] = deque()
        self._has_failed = False

    def expect(self, member: Member) -> None:
        """It is being read."""
        self._under_way.append((member, []))

    def note(self, outcome: Outcome, source: Source) -> None:
        """It is done with; what is so from the beginning on is remembered where a load can go on behind it."""
        next(slot for member, slot in self._under_way if member.path == outcome.path and not slot).append(outcome)
        end = 0
        while self._under_way and self._under_way[0][1]:
            member, (first,) = self._under_way.popleft()
            self._has_failed = self._has_failed or first.status is Status.FAILED
            if not self._has_failed:  # a next load has to look at it again, and so at all behind it
                self._done.append(first)
                end = member.end
        checkpoint = source.checkpoint(end) if end else None
        if checkpoint is not None:
            self._save(Record(tuple(self._done), checkpoint, end))

    def finish(self) -> None:
        """The whole bundle has been read."""
        if not self._has_failed:
            self._save(Record(tuple(self._done)))

    def _save(self, record: Record) -> None:
        if self._identity is not None:
            self._store.put_load_state(self._identity.key, record.to_row(self._identity))


def _again(outcome: Outcome) -> Outcome:
    """An image that a load brought is present in the next one."""
    status = Status.PRESENT if outcome.status is Status.LOADED else outcome.status
    return replace(outcome, status=status, source="earlier load")
