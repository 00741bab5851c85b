"""Archives become images that clients see: bytes durable first, then the names."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from loader.candidate import Candidate
from loader.errors import BundleInvalid
from loader.journal import Journal
from loader.report import Outcome, Report, Status
from loader.source import Source
from registry.oci.digest import Digest
from registry.oci.reference import Reference
from registry.storage.blobs import BlobStore
from registry.storage.errors import BlobGone, StorageFull
from registry.storage.explain import confirm
from registry.storage.store import Store

# Four times the images of the largest bundle known.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Publisher:
    """Gives images their names, and tells the report and the journal."""

    store: Store
    source: Source
    journal: Journal
    report: Report
    _brought: set[Digest] = field(default_factory=set)
    _loaded: set[Reference] = field(default_factory=set)
    _present: list[tuple[Reference, Digest]] = field(default_factory=list)

    def publish(self, batches: Iterable[Iterable[Candidate]]) -> Iterator[Outcome]:
        """Outcomes in the order of the candidates, each added to the report.

        Raises:
            BundleInvalid: the bundle cannot be read on. All that came before it has been published.
            StorageError: the disk refuses. What has been given out stays.
        """
        for batch in batches:
            for candidate in batch:
                outcome = self._name(candidate)
                if not candidate.is_known:
                    self.journal.add(replace(candidate, error=outcome.error), self.source)
                yield outcome
        self._confirm()

    def publish_proven(self, batches: Iterable[Iterable[Candidate]], prove: Callable[[], None]) -> Iterator[Outcome]:
        """As `publish`, but nothing gets a name before `prove` has returned, which is called when all is read.

        Until then members are given out as read, and wait in the journal. Their blobs stay if the proof fails, for
        nobody to see, and so do those of a load that is killed: the next one goes on with them.

        Raises:
            Untrusted: by `prove`; there is no name more than before.
            BundleInvalid, StorageError: as `publish` does, if the proof holds.
        """
        fault: BundleInvalid | StorageFull | None = None
        try:
            for batch in batches:
                yield from self._keep(batch)
        except (BundleInvalid, StorageFull) as error:
            fault = error
        prove()
        for candidate in self.journal.all():
            outcome = self._name(candidate)
            if outcome.status is Status.FAILED:
                self.journal.fail()
            yield outcome
        self._confirm()
        if fault is not None:
            raise fault

    def _keep(self, batch: Iterable[Candidate]) -> Iterator[Outcome]:
        """Let the index know the blobs, which nobody sees, and the journal what is to be named."""
        candidates = list(batch)
        images = [candidate.image for candidate in candidates if candidate.image is not None]
        for candidate in candidates:
            self._brought.update(candidate.brought)
            self.report.read(candidate.size, is_wanted=candidate.image is not None)
        blobs = [blob for image in images for blob in image.blobs]
        self.store.loads.keep_blobs(blobs, self.report.bundle, self.report.state("loading"))
        for candidate in candidates:
            if not candidate.is_known:
                self.journal.add(candidate, self.source)
            if candidate.image is not None:
                yield _outcome(candidate, Status.READ)

    def _name(self, candidate: Candidate) -> Outcome:
        self._brought.update(candidate.brought)
        outcome = _outcome(candidate, self._status(candidate))
        self.report.add(outcome)
        self.report.platforms |= candidate.platforms
        if candidate.image is not None and outcome.status is Status.LOADED:
            self._loaded.add(candidate.image.reference)
            try:
                state = (self.report.bundle, self.report.state("loading"))
                self.store.publish(candidate.image, state, self.report.cause(candidate.path))
            except BlobGone as error:  # a scrub found one of its blobs bad, in this very moment
                self.report.withdraw(outcome)
                outcome = replace(outcome, status=Status.FAILED, error=str(error))
                self.report.add(outcome)
        elif candidate.image is not None and outcome.is_held:
            self._present.append((candidate.image.reference, candidate.image.root))
        return outcome

    def _confirm(self) -> None:
        """Let the history know what the signature says of images that were here before."""
        if self.report.origin.signer is not None:
            confirm(self.store, self._present, self.report.cause())

    def _status(self, candidate: Candidate) -> Status:
        if candidate.error is not None:
            return Status.FAILED
        if candidate.image is None:
            return Status.EXCLUDED
        if not self.store.has_image(candidate.image):
            return Status.LOADED
        is_new = candidate.image.reference in self._loaded
        is_mended = not is_new and any(blob.digest in self._brought for blob in candidate.image.blobs)
        return Status.MENDED if is_mended else Status.PRESENT


def durable(candidates: Iterable[Candidate], blobs: BlobStore) -> Iterator[list[Candidate]]:
    """Batches of candidates, every blob of which is on the disk.

    One batch is made durable by one system call while the next one is read; how large a batch
    gets is for the disk to say, within bounds.

    Raises:
        BundleInvalid, StorageFull: behind the last batch.
    """
    syncing: list[Candidate] = []
    reading: list[Candidate] = []
    fault: BundleInvalid | StorageFull | None = None
    with ThreadPoolExecutor(1, "syncfs") as background:
        sync = background.submit(blobs.sync)
        try:
            for candidate in candidates:
                reading.append(candidate)
                if sync.done() or len(reading) == _BATCH:
                    sync.result()
                    yield syncing
                    syncing, reading = reading, []
                    sync = background.submit(blobs.sync)
        except (BundleInvalid, StorageFull) as error:
            fault = error
        sync.result()
        yield syncing
    blobs.sync()
    yield reading
    if fault is not None:
        raise fault


def _outcome(candidate: Candidate, status: Status) -> Outcome:
    digest = None if candidate.image is None else candidate.image.root
    return Outcome(
        candidate.path, candidate.size, status, candidate.reference, digest, candidate.error, candidate.is_known
    )
