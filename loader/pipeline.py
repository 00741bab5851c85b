"""The whole way of a bundle: source, ingest, publish; one pass, one straight line."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from loader.config import LoadSettings
from loader.errors import BundleInvalid
from loader.identity import Identity, identify
from loader.ingest import Ingest
from loader.journal import Journal, Record
from loader.pool import Pool
from loader.publish import publish
from loader.report import Outcome, Report, Status, human
from loader.source import Member, Source
from loader.survey import Survey, survey
from registry.storage.errors import StorageError, StorageFull
from registry.storage.roots import free_bytes
from registry.storage.store import Store


@dataclass(slots=True)
class Load:
    """One load of one bundle: iterate `outcomes()`, read `report` and `progress` meanwhile."""

    settings: LoadSettings
    source: Source
    store: Store
    report: Report = field(init=False)
    _interrupted: bool = False
    _known: Record | None = None
    _furthest: int = 0
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        piped = self.source.is_piped
        self.report = Report("standard input" if piped else str(self.settings.bundle.resolve()))

    @property
    def size(self) -> int | None:
        """Bytes of the bundle, as it lies on disk; None for a pipe."""
        return self.source.size

    @property
    def position(self) -> int:
        """How many of them are done with; never less than before."""
        position = self.report.bytes if self.source.is_plain else self.source.position
        self._furthest = max(self._furthest, self.begun_at, position)
        return self._furthest

    @property
    def begun_at(self) -> int:
        """How many of them needed no reading, for an earlier load did."""
        if self._known is None:
            return 0
        return self._known.checkpoint.packed if self._known.checkpoint else self.size or 0

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Bytes of the bundle that it does a second; what needed no reading is not counted."""
        return (self.position - self.begun_at) / max(self.seconds, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None where nobody can know."""
        if self.size is None or not self.rate:
            return None
        return max(0, self.size - self.position) / self.rate

    @property
    def total(self) -> int | None:
        """How many images and charts there are, None where only the end of the bundle will tell."""
        if self._known is not None and self._known.checkpoint is None:
            return len(self._known.outcomes)
        return self.source.total

    def interrupt(self) -> None:
        """Let `outcomes()` raise KeyboardInterrupt where that is safe, which it is not inside of a lock of Python's."""
        self._interrupted = True

    def outcomes(self) -> Iterator[Outcome]:
        """Each member's outcome as soon as it is certain; an image is served from then on.

        Raises:
            BundleInvalid: the bundle cannot be read on, or holds no image at all.
            StorageBusy: another load into this store is running.
            StorageFull: the disk is too small, or became full. Images given out stay.
            KeyboardInterrupt: after `interrupt()`.
        """
        with self.store.loading():
            found = survey(self.source, self.settings.selection)
            identity = identify(self.source, self.settings, found)
            self._known = self._recognise(identity)
            self.report.held = self._held()
            if self._known is not None and self._known.checkpoint is None:
                yield from self._tell_known()
                self._remember("loaded")
                return
            if not self.settings.force:
                _check_space(self.source, self.store, self.report.held, found)
            self._remember("loading")
            try:
                yield from self._tell_known()
                yield from self._run(Journal(self.store, identity, self._known.outcomes if self._known else ()))
            except BaseException:
                with suppress(StorageError):  # a full disk must not hide what went wrong
                    self._remember("interrupted")
                raise
            self._remember("failed" if self.report.failures else "loaded")

    def _recognise(self, identity: Identity | None) -> Record | None:
        """What an earlier load of this bundle has done, if this one can rely on it."""
        if identity is None or self.settings.force:
            return None
        record = Record.find(self.store, identity, self.settings.selection)
        if record is None or record.checkpoint is None or self.source.resume(record.checkpoint, record.end):
            return record
        return None

    def _tell_known(self) -> Iterator[Outcome]:
        for outcome in self._known.outcomes if self._known else ():
            self._go_on()
            self.report.add(outcome)
            yield outcome

    def _run(self, journal: Journal) -> Iterator[Outcome]:
        excluded: list[Outcome] = []
        with Pool(self.store.blobs, self.settings.jobs) as pool:
            ingest = Ingest(self.store, pool, self._go_on, self.settings.selection)
            archives = ingest.archives(self._wanted(excluded, journal))
            for outcome in publish(archives, self.store, self.settings.selection, self.report):
                yield from self._told(excluded, journal)
                journal.note(outcome, self.source)
                yield outcome
        yield from self._told(excluded, journal)
        if not self.report.members:
            raise BundleInvalid(f"{self.source.path} holds no image or chart: is it the airgap bundle?")
        journal.finish()

    def _go_on(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def _told(self, excluded: list[Outcome], journal: Journal) -> Iterator[Outcome]:
        while excluded:
            outcome = excluded.pop(0)
            self.report.add(outcome)
            journal.note(outcome, self.source)
            yield outcome

    def _wanted(self, excluded: list[Outcome], journal: Journal) -> Iterator[Member]:
        selection = self.settings.selection
        for member in self.source.members():
            journal.expect(member)
            if member.fault is not None or selection.may_admit(member.path):
                yield member
            else:
                reference = selection.name(member.path)
                excluded.append(Outcome(member.path, member.content.size, Status.EXCLUDED, reference))

    def _held(self) -> int:
        """Bytes that earlier loads of this bundle brought and named, the last one be it killed or not."""
        with self.store.snapshot() as snapshot:
            state = snapshot.load_state(self.report.bundle)
        brought = state["bytes"] if state else 0
        return brought if isinstance(brought, int) else 0

    def _remember(self, state: str) -> None:
        self.store.put_load_state(self.report.bundle, self.report.state(state))


def _check_space(source: Source, store: Store, named: int, found: Survey | None) -> None:
    """Exactly where headers can be read, else by the size of the bundle: layers are compressed already.

    What an earlier load of this bundle brought needs no room again, be it named or left by a kill.
    """
    roots = {os.stat(root.layout.root).st_dev: root for root in store.blobs.roots}.values()
    free = sum(free_bytes(root) for root in roots)
    if found is not None:
        _check_need(found.missing(store), free)
        return
    held = store.blobs.disk_bytes() - store.stored_bytes() + named
    if source.size is not None and free + held < source.size:
        raise StorageFull(
            f"the bundle needs up to {human(source.size)}, {human(held)} of it are here, and the storage has "
            f"{human(free)} free: "
            "free some space, add a disk with another --storage, or try all the same with --force"
        )


def _check_need(need: int, free: int) -> None:
    if free < need:
        raise StorageFull(
            f"the bundle needs {human(need)} more than is here, and the storage has {human(free)} free: "
            "free some space, add a disk with another --storage, or try all the same with --force"
        )
