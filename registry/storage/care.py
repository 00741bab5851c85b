"""What gc and scrub have done, kept in the index: for the next run, and for whoever watches the store.

A scrub that was interrupted and went on later counts as one run.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from registry.oci.digest import Digest
from registry.storage import keys
from registry.storage.errors import StorageFull
from registry.storage.index import Change, Snapshot
from registry.storage.store import Store

_RUN = b"run."
_PLACE = b"scrub"


@dataclass(slots=True)
class Run:
    """How often each thing happened in one run of `work`, and how many bytes that were; times in seconds since 1970."""

    work: str
    began: float = field(default_factory=time.time)
    ended: float = 0
    complete: bool = False
    """Whether it came to its end."""
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, size: int) -> None:
        """Count one thing."""
        self.counts[what] += 1
        self.bytes += size

    def put(self, change: Change) -> None:
        """Write it down as it is now."""
        self.ended = time.time()
        row = [self.began, self.ended, self.complete, self.bytes, self.counts]
        change.rows.put("care", _RUN + self.work.encode(), orjson.dumps(row))

    def keep(self, store: Store) -> None:
        """Write it down, unless the disk is so full that even that does not fit."""
        with suppress(StorageFull), store.index.change() as change:
            self.put(change)


def last_runs(snapshot: Snapshot) -> Iterator[Run]:
    """The last run of each kind of work."""
    for key, row in snapshot.rows.scan("care", prefix=_RUN):
        began, ended, complete, size, counts = orjson.loads(row)
        yield Run(key.removeprefix(_RUN).decode(), began, ended, complete, size, Counter(counts))


def scrub_place(snapshot: Snapshot) -> Digest | None:
    """The last blob that an unfinished scrub has read."""
    row = snapshot.rows.get("care", _PLACE)
    return None if row is None else keys.unpack_digest(row)


def put_scrub_place(change: Change, digest: Digest | None) -> None:
    """None: it is finished."""
    if digest is None:
        change.rows.delete("care", _PLACE)
    else:
        change.rows.put("care", _PLACE, keys.pack_digest(digest))
