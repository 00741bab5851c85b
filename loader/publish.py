"""Archives become images that clients see: bytes durable first, then the names."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from loader.errors import BundleInvalid, MemberInvalid
from loader.image import assemble
from loader.ingest import Archive
from loader.report import Outcome, Report, Status
from loader.selection import Selection
from loader.waiting import Candidate, Waiting
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.reference import Reference
from registry.storage.blobs import StoredBlob
from registry.storage.errors import BlobGone, StorageFull
from registry.storage.explain import confirm
from registry.storage.store import Image, Store


def publish(archives: Iterable[Archive], store: Store, selection: Selection, report: Report) -> Iterator[Outcome]:
    """Outcomes in the order of the archives, each added to the report.

    Raises:
        BundleInvalid: the bundle cannot be read on. All that came before it has been published.
        StorageError: the disk refuses. What has been given out stays.
    """
    for batch in _durable(archives, store, selection):
        yield from _name(batch, store, selection, report)


def publish_proven(
    archives: Iterable[Archive], store: Store, selection: Selection, report: Report, prove: Callable[[], None]
) -> Iterator[Outcome]:
    """As `publish`, but nothing gets a name before `prove` has returned, which is called when all is read.

    Until then members are given out as read. Their blobs stay if the proof fails, for nobody to see,
    and so do those of a load that is killed: the next one goes on with them.

    Raises:
        Untrusted: by `prove`; there is no name more than before.
        BundleInvalid, StorageError: as `publish` does, if the proof holds.
    """
    fault: BundleInvalid | StorageFull | None = None
    with Waiting(store.blobs.roots[0].layout.uploads) as waiting:
        try:
            for batch in _durable(archives, store, selection):
                yield from _keep(batch, waiting, store, selection, report)
        except (BundleInvalid, StorageFull) as error:
            fault = error
        prove()
        yield from _name(waiting, store, selection, report)
    if fault is not None:
        raise fault


def _durable(archives: Iterable[Archive], store: Store, selection: Selection) -> Iterator[list[Candidate]]:
    """Batches of which every blob is on the disk.

    One batch is made durable by one system call while the next one is read; how large a batch
    gets is for the disk to say.
    """
    syncing: list[Candidate] = []
    reading: list[Candidate] = []
    fault: BundleInvalid | StorageFull | None = None
    with ThreadPoolExecutor(1, "syncfs") as background:
        sync = background.submit(store.blobs.sync)
        try:
            for archive in archives:
                reading.append(_candidate(archive, store, selection))
                if sync.done():
                    sync.result()
                    yield syncing
                    syncing, reading = reading, []
                    sync = background.submit(store.blobs.sync)
        except (BundleInvalid, StorageFull) as error:
            fault = error
        sync.result()
        yield syncing
    store.blobs.sync()
    yield reading
    if fault is not None:
        raise fault


def _keep(
    batch: Iterable[Candidate], waiting: Waiting, store: Store, selection: Selection, report: Report
) -> Iterator[Outcome]:
    """Let the index know the blobs, which nobody sees, and the file what is to be named."""
    blobs: list[StoredBlob] = []
    for candidate in batch:
        waiting.add(candidate)
        report.read(candidate.size)
        if candidate.image is not None and selection.admits(candidate.image.reference):
            blobs += candidate.image.blobs
            yield Outcome(candidate.path, candidate.size, Status.READ, candidate.image.reference, candidate.image.root)
    store.keep_blobs(blobs, (report.bundle, report.state("loading")))


def _candidate(archive: Archive, store: Store, selection: Selection) -> Candidate:
    try:
        return Candidate(archive.path, archive.size, assemble(archive, store, selection.prefix))
    except (MemberInvalid, OCIError) as error:
        return Candidate(archive.path, archive.size, None, str(error))


def _name(candidates: Iterable[Candidate], store: Store, selection: Selection, report: Report) -> Iterator[Outcome]:
    present: list[tuple[Reference, Digest]] = []
    for candidate in candidates:
        image = candidate.image
        if image is None:
            outcome = Outcome(candidate.path, candidate.size, Status.FAILED, error=candidate.error)
        else:
            status = _status(image, store, selection)
            outcome = Outcome(candidate.path, candidate.size, status, image.reference, image.root)
        report.add(outcome)
        if image is not None and outcome.status is Status.LOADED:
            try:
                store.publish(image, (report.bundle, report.state("loading")), report.cause(candidate.path))
            except BlobGone as error:  # a scrub found one of its blobs bad, in this very moment
                report.withdraw(outcome)
                outcome = replace(outcome, status=Status.FAILED, error=str(error))
                report.add(outcome)
        elif image is not None and outcome.status is Status.PRESENT:
            present.append((image.reference, image.root))
        yield outcome
    if report.origin.signer is not None:
        confirm(store, present, report.cause())


def _status(image: Image, store: Store, selection: Selection) -> Status:
    if not selection.admits(image.reference):
        return Status.EXCLUDED
    return Status.PRESENT if store.has_image(image) else Status.LOADED
