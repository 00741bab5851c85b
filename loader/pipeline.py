"""The whole way of a bundle: source, ingest, publish; one pass, one straight line."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from loader.candidate import Candidate
from loader.config import LoadSettings
from loader.errors import BundleInvalid, JournalForeign, PlatformMissing, SignatureInvalid, Untrusted
from loader.identity import Identity, identify
from loader.ingest import Ingest
from loader.journal import Head, Journal, recall
from loader.pace import Pace
from loader.pool import Pool
from loader.publish import Publisher, durable
from loader.report import Origin, Outcome, Report
from loader.signature import Check, Proof
from loader.source import Source
from loader.space import require_space
from loader.survey import survey
from registry.storage.errors import StorageError
from registry.storage.loads import load_state
from registry.storage.store import Store
from registry.text import printable


@dataclass(slots=True)
class Load:
    """One load of one bundle: iterate `outcomes()`, read `report` and `pace` meanwhile."""

    settings: LoadSettings
    source: Source
    store: Store
    report: Report = field(init=False)
    pace: Pace = field(init=False)
    notes: list[str] = field(default_factory=list)
    """What an operator should know meanwhile, oldest first; whoever tells it takes it out."""
    _interrupted: bool = False
    _check: Check | None = None
    _proof: Proof | None = None

    def __post_init__(self) -> None:
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        self.report = Report(self.source.name, Origin(self.source.file_name, self.source.size, begun))
        self.pace = Pace(self.source, self.report)

    def interrupt(self) -> None:
        """Let `outcomes()` raise KeyboardInterrupt where that is safe, which it is not inside of a lock of Python's."""
        self._interrupted = True
        self.source.interrupt()

    def outcomes(self) -> Iterator[Outcome]:
        """Each member's outcome as soon as it is certain; an image is served from then on.

        With a signature to check, members come out as read first, and nothing is certain until the end.

        Raises:
            Untrusted: the signature does not hold. No image has a name by this load.
            BundleInvalid: the bundle cannot be read on, or holds no image at all.
            StorageBusy: another load into this store is running.
            StorageFull: the disk is too small, or became full. Images given out stay.
            KeyboardInterrupt: after `interrupt()`.
        """
        with self.store.loads.alone():
            self.report.held = self._held()
            try:
                yield from self._load()
            except Untrusted:
                self._remember("refused")
                raise
            except BaseException:
                with suppress(StorageError):  # a full disk must not hide what went wrong
                    self._remember("interrupted")
                raise
            self._remember("failed" if self.report.failures or self._missing else "loaded")

    def require_platforms(self) -> None:
        """That there was something for every platform that is wanted, if there was anything for any.

        Raises:
            PlatformMissing: there was not. All else was loaded.
        """
        if self._missing:
            wanted, there = ", ".join(self._missing), printable(", ".join(sorted(self.report.platforms)))
            raise PlatformMissing(f"no image in {self.source.path} is for {wanted}: it has images for {there}")

    @property
    def _missing(self) -> tuple[str, ...]:
        return self.settings.selection.missing(self.report.platforms) if self.report.platforms else ()

    def _load(self) -> Iterator[Outcome]:
        """From where an earlier load left off, if this one can rely on that, to the end."""
        if self.settings.evidence is not None:
            self._check = Check.open(self.source.path, self.settings.evidence)
        found = survey(self.source, self.settings.selection)
        identity = identify(self.source, self.settings, found)
        known = self._recall(identity)
        if not self.settings.force and (known is None or not known.is_finished):
            partial = self.settings.selection.is_partial
            require_space(self.source, self.store, self.report.held, found, is_partial=partial)
        journal = Journal(self.store, identity, known)
        publisher = Publisher(self.store, self.source, journal, self.report)
        if known is not None and known.is_finished:
            yield from self._recalled(publisher, known)
        else:
            yield from self._read(publisher, known)

    def _recall(self, identity: Identity | None) -> Head | None:
        """What this load need not read."""
        if identity is None or self.settings.force:
            return None
        try:
            known = recall(self.store, identity, self._check.claim if self._check else None)
        except JournalForeign as error:
            self.notes.append(str(error))
            return None
        if known is None or known.checkpoint is None or self.source.resume(known.checkpoint, known.end):
            return known
        return None

    def _recalled(self, publisher: Publisher, known: Head) -> Iterator[Outcome]:
        """The whole bundle, without reading it."""
        self.pace.begun_at, self.pace.known_total = self.source.size or 0, known.count
        if self._check is not None and known.proof is not None:
            origin = self.report.origin
            origin.sha256, origin.signer, origin.is_recalled = known.proof.file, known.proof.signer, True
        yield from publisher.publish(publisher.journal.known())

    def _read(self, publisher: Publisher, known: Head | None) -> Iterator[Outcome]:
        """The bundle, or what of it is not known."""
        if known is not None and known.checkpoint is not None:
            self.pace.begun_at = known.checkpoint.packed
        self._remember("loading")
        prove = self._prover()
        with Pool(self.store.blobs, self.settings.jobs) as pool:
            selection = self.settings.selection
            archives = Ingest(self.store, pool, self._go_on, selection).archives(self.source.members())
            candidates = (Candidate.of(archive, self.store, selection) for archive in archives)
            batches = chain(publisher.journal.known(), durable(candidates, self.store.blobs))
            try:
                yield from publisher.publish(batches) if prove is None else publisher.publish_proven(batches, prove)
            except Untrusted:
                publisher.journal.forget()
                raise
            except BundleInvalid:
                self._go_on()  # a pipe cannot be read on after an interruption
                raise
        if not self.report.members:
            raise BundleInvalid(f"{self.source.path} holds no image or chart: is it the airgap bundle?")
        publisher.journal.finish(self._proof)

    def _prover(self) -> Callable[[], None] | None:
        """What raises Untrusted unless the bundle, hashed from now on, is what its signer signed."""
        check = self._check
        if check is None:
            return None
        file = self.source.hash(check.algorithms)

        def prove() -> None:
            self._proof = check.require(file.digests())
            if not self.source.begins_as_before:
                raise SignatureInvalid(
                    f"{self.source.path} is not what an interrupted load of it has read, and nothing of it is served, "
                    "although its signature holds: load it again, from its beginning"
                )
            self.report.origin.sha256, self.report.origin.signer = self._proof.file, self._proof.signer

        return prove

    def _go_on(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def _held(self) -> int:
        """Bytes that earlier loads of this bundle brought and named, the last one be it killed or not."""
        with self.store.snapshot() as snapshot:
            state = load_state(snapshot, self.report.bundle)
        brought = state["bytes"] if state else 0
        return brought if isinstance(brought, int) else 0

    def _remember(self, state: str) -> None:
        self.store.loads.put_state(self.report.bundle, self.report.state(state))
