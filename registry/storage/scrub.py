"""Every blob read and compared with what the index remembers of it; what is bad is set aside, so that it can heal.

The index has the xxh3_128 of every blob, which is compared at memory speed; a difference is proven
with the blob's own digest in a second reading. A bad blob loses its row first: clients get a 404,
and whoever pushes it, or loads its bundle, brings it again. Then its file goes to `quarantine/`,
unless somebody has put a good one in its place meanwhile. A kill between the two leaves a file
without a row, which nobody trusts and the next gc removes.
"""

import enum
import errno
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.storage import inventory
from registry.storage.blobs import StoredBlob
from registry.storage.care import Run, last_runs, put_scrub_place, scrub_place
from registry.storage.errors import StorageBusy, StorageFull, disk_errors
from registry.storage.locks import locked
from registry.storage.reading import Checked, Pace, check
from registry.storage.roots import sync_directory
from registry.storage.store import Store

_ROWS = 256
_REMEMBER_EVERY = 5.0


class Verdict(enum.Enum):
    """What a blob turned out to be."""

    GOOD = "good"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    MISREMEMBERED = "misremembered"
    """The bytes are good, the checksum in the index was not; it is now."""

    @property
    def is_bad(self) -> bool:
        """Whether clients get a 404 until the blob is pushed or loaded again."""
        return self in (Verdict.DAMAGED, Verdict.UNREADABLE, Verdict.MISSING)


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A blob that was read, and the repositories that suffer if it is bad."""

    blob: StoredBlob
    verdict: Verdict
    repositories: tuple[RepositoryName, ...] = ()


def scrub(store: Store, rate: int | None = None, *, restart: bool = False) -> Iterator[Scrubbed]:
    """Each blob, in the order of digests, behind the last one that an interrupted scrub has read.

    Raises:
        StorageBusy: another scrub is running.
        RootMissing: the disk of a root has gone.
    """
    with locked(store.layout.scrub_lock) as alone:
        if not alone:
            raise StorageBusy("another scrub of this store is running: wait for it, or stop it")
        with store.index.snapshot() as snapshot:
            place = None if restart else scrub_place(snapshot)
            run = next((run for run in last_runs(snapshot) if run.work == "scrub" and place is not None), Run("scrub"))
        yield from _remembering(store, _read_all(store, Pace(rate), place), place, run)


def _remembering(store: Store, scrubbed: Iterator[Scrubbed], place: Digest | None, run: Run) -> Iterator[Scrubbed]:
    """Note now and then how far it is, and when it is done, or stopped."""
    noted = time.monotonic()
    try:
        for each in scrubbed:
            yield each
            run.add(each.verdict.value, each.blob.size)
            place = each.blob.digest
            if time.monotonic() - noted > _REMEMBER_EVERY:
                _remember(store, place, run)
                noted = time.monotonic()
        place, run.complete = None, True
    finally:
        _remember(store, place, run)


def _remember(store: Store, place: Digest | None, run: Run) -> None:
    with suppress(StorageFull), store.index.change() as change:  # it only costs the next scrub some reading
        put_scrub_place(change, place)
        run.put(change)


def _read_all(store: Store, pace: Pace, place: Digest | None) -> Iterator[Scrubbed]:
    while True:
        with store.index.snapshot() as snapshot:  # a snapshot that is held for hours would make the index grow
            blobs = [blob for blob, _ in itertools.islice(inventory.blobs(snapshot, place), _ROWS)]
        if not blobs:
            return
        for blob in blobs:
            yield _scrub_blob(store, blob, pace)
        place = blobs[-1].digest


def _scrub_blob(store: Store, blob: StoredBlob, pace: Pace) -> Scrubbed:
    path = store.blobs.path(blob.root, blob.digest)
    checked = None
    try:
        checked = check(path, pace)
        if (checked.size, checked.checksum) == (blob.size, blob.checksum):
            return Scrubbed(blob, Verdict.GOOD)
        checked = check(path, pace, blob.digest)
        verdict = _verdict(blob, checked)
    except FileNotFoundError:
        store.blobs.require_root(blob.root)
        verdict = Verdict.MISSING
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            with disk_errors(path):  # not the disk's fault: no reason to set anything aside
                raise
        verdict = Verdict.UNREADABLE
    if verdict is Verdict.MISREMEMBERED and checked is not None:
        return _correct(store, blob, checked)
    return _set_aside(store, blob, verdict, checked) if verdict.is_bad else Scrubbed(blob, verdict)


def _verdict(blob: StoredBlob, checked: Checked) -> Verdict:
    if (checked.size, checked.hex) != (blob.size, blob.digest.hex):
        return Verdict.DAMAGED
    return Verdict.GOOD if checked.checksum == blob.checksum else Verdict.MISREMEMBERED


def _correct(store: Store, blob: StoredBlob, checked: Checked) -> Scrubbed:
    with store.index.change() as change:
        if change.blob(blob.digest) == blob:
            told = inventory.last_told(change, blob.digest)
            change.put_blob(replace(blob, checksum=checked.checksum), told)
    return Scrubbed(blob, Verdict.MISREMEMBERED)


def _set_aside(store: Store, blob: StoredBlob, verdict: Verdict, checked: Checked | None) -> Scrubbed:
    with store.index.change() as change:
        is_back = verdict is Verdict.MISSING and store.blobs.has(blob)
        if change.blob(blob.digest) != blob or is_back or _is_replaced(store, blob, checked):
            return Scrubbed(blob, Verdict.GOOD)  # removed, or pushed again, while it was read
        inventory.delete_blob(change, blob.digest)
        names = tuple(name for name in inventory.repositories(change) if change.has_link(name, blob.digest))
    if verdict is not Verdict.MISSING:
        _quarantine(store, blob, checked)
    return Scrubbed(blob, verdict, names)


def _quarantine(store: Store, blob: StoredBlob, checked: Checked | None) -> None:
    layout = store.blobs.root(blob.root).layout
    with suppress(StorageFull), disk_errors(layout.quarantine):  # then it stays where it is, without a name
        layout.quarantine.mkdir(mode=0o700, exist_ok=True)
        with store.index.alone() as snapshot:
            if snapshot.blob(blob.digest) is None and not _is_replaced(store, blob, checked):
                os.rename(layout.blob(blob.digest), layout.quarantined(blob.digest))
        sync_directory(layout.quarantine)


def _is_replaced(store: Store, blob: StoredBlob, checked: Checked | None) -> bool:
    """Whether another file has come to where the bad one, or none, was."""
    try:
        facts = store.blobs.path(blob.root, blob.digest).stat()
    except FileNotFoundError:
        return checked is not None
    return checked is not None and facts.st_ino != checked.inode
