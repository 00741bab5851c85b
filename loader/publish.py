"""Archives become images that clients see: bytes durable first, then the names."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from loader.complete import is_complete
from loader.errors import BundleInvalid, MemberInvalid
from loader.image import assemble
from loader.ingest import Archive
from loader.report import Outcome, Report, Status
from loader.selection import Selection
from registry.oci.errors import OCIError
from registry.storage.errors import StorageFull
from registry.storage.store import Image, Store


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An archive whose blobs are in place, and the image in it or the reason why there is none."""

    archive: Archive
    image: Image | None = None
    error: str | None = None


def publish(archives: Iterable[Archive], store: Store, selection: Selection, report: Report) -> Iterator[Outcome]:
    """Outcomes in the order of the archives, each added to the report.

    One batch is made durable by one system call while the next one is read; how large a batch
    gets is for the disk to say.

    Raises:
        BundleInvalid: the bundle cannot be read on. All that came before it has been published.
        StorageError: the disk refuses. What has been given out stays.
    """
    syncing: list[_Candidate] = []
    reading: list[_Candidate] = []
    fault: BundleInvalid | StorageFull | None = None
    with ThreadPoolExecutor(1, "syncfs") as background:
        sync = background.submit(store.blobs.sync)
        try:
            for archive in archives:
                reading.append(_candidate(archive, store, selection))
                if sync.done():
                    sync.result()
                    yield from _name(syncing, store, selection, report)
                    syncing, reading = reading, []
                    sync = background.submit(store.blobs.sync)
        except (BundleInvalid, StorageFull) as error:
            fault = error
        sync.result()
        yield from _name(syncing, store, selection, report)
    store.blobs.sync()
    yield from _name(reading, store, selection, report)
    if fault is not None:
        raise fault


def _candidate(archive: Archive, store: Store, selection: Selection) -> _Candidate:
    try:
        return _Candidate(archive, None if archive.is_excluded else assemble(archive, store, selection))
    except (MemberInvalid, OCIError) as error:
        return _Candidate(archive, error=str(error))


def _name(candidates: Iterable[_Candidate], store: Store, selection: Selection, report: Report) -> Iterator[Outcome]:
    for candidate in candidates:
        archive, image = candidate.archive, candidate.image
        if image is None:
            status, reference = (
                (Status.FAILED, None) if candidate.error else (Status.EXCLUDED, selection.name(archive.path))
            )
            outcome = Outcome(archive.path, archive.size, status, reference, error=candidate.error)
        else:
            status = _status(image, store, selection)
            outcome = Outcome(archive.path, archive.size, status, image.reference, image.root)
        report.add(outcome)
        if image is not None and outcome.status is Status.LOADED:
            store.publish(image, (report.bundle, report.state("loading")))
        yield outcome


def _status(image: Image, store: Store, selection: Selection) -> Status:
    if not selection.admits(image.reference):
        return Status.EXCLUDED
    with store.snapshot() as snapshot:
        return Status.PRESENT if is_complete(snapshot, image.reference, image.root, selection) else Status.LOADED
