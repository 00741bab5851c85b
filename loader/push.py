"""A bundle into a registry of anybody, straight from its stream: content before names, what is there is passed over."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loader.archive import Archive
from loader.delivery import Delivery
from loader.docker import convert
from loader.errors import BundleInvalid, LoaderError, MemberInvalid
from loader.futures import finished
from loader.image import blobs_missing
from loader.layout import INDEX, blob_documents, children_first, read_layout
from loader.member import Member
from loader.naming import reference_for
from loader.pending import Pending, Reader
from loader.rawfile import Extent
from loader.report import Outcome, Status
from loader.selection import Selection
from loader.source import Source
from loader.spool import Document, Spool, SpoolFailed, Stretch, scratch
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import OCIError, SizeInvalid
from registry.oci.manifest import Manifest
from registry.oci.mediatype import OCTET_STREAM
from registry.oci.reference import RepositoryName
from registry.storage.errors import StorageError
from registry.transfer.errors import TransferError
from registry.transfer.patience import Endurance
from registry.transfer.remote import RegistryTarget
from registry.transfer.tree import Tree

_AHEAD = 4  # archives that are read for each one that is being pushed


@dataclass(frozen=True, slots=True)
class _Image:
    """What an archive holds, before it has a name."""

    root: Digest
    manifests: Mapping[Digest, Manifest]
    documents: Mapping[Digest, bytes]
    versions: frozenset[str]


class Push:
    """One bundle's way into one registry, with so many blobs, and images, under way at once."""

    def __init__(
        self, source: Source, target: RegistryTarget, selection: Selection, endurance: Endurance, jobs: int = 4
    ) -> None:
        self._source = source
        self._target = target
        self._selection = selection
        self._endurance = endurance
        self._jobs = jobs
        self.sent = 0

    def outcomes(self, work: Path, room: int) -> Iterator[Outcome]:
        """What became of each member, in their order; `room` bytes, or one blob, wait below `work` at a time.

        Raises:
            BundleInvalid: the bundle cannot be read on. What came before it has been pushed.
            SpoolFailed: the disk for what waits refuses.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(scratch(work))
            blobs = stack.enter_context(ThreadPoolExecutor(self._jobs, "blob"))
            images = stack.enter_context(ThreadPoolExecutor(self._jobs, "image"))
            delivery = Delivery(self._target, self._endurance, blobs)
            reader = Reader(delivery, Spool(folder, room, self._endurance.check), folder, self._endurance)
            try:
                for outcome in self._outcomes(reader, delivery, images):
                    self.sent = delivery.size
                    yield outcome
            except BaseException:
                self._endurance.stop.set()
                for pool in (images, blobs):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _outcomes(self, reader: Reader, delivery: Delivery, images: ThreadPoolExecutor) -> Iterator[Outcome]:
        waiting: deque[Future[Outcome]] = deque()
        fault: BundleInvalid | None = None
        try:
            for member in self._source.members():
                if member.fault is None and not self._selection.may_admit(member.path):
                    waiting.append(finished(self._excluded(member)))
                else:
                    pending = reader.read(member, self._selection.prefix)
                    waiting.append(images.submit(self._outcome, pending, delivery))
                while waiting and (waiting[0].done() or len(waiting) > _AHEAD * self._jobs):
                    yield waiting.popleft().result()
        except BundleInvalid as error:
            fault = error
        while waiting:
            yield waiting.popleft().result()
        if fault is not None:
            raise fault

    def _excluded(self, member: Member) -> Outcome:
        return Outcome(member.path, member.content.size, Status.EXCLUDED, self._selection.name(member.path))

    def _outcome(self, pending: Pending, delivery: Delivery) -> Outcome:
        archive = pending.archive
        try:
            return self._publish(pending, delivery)
        except SpoolFailed:
            raise
        except (LoaderError, OCIError, TransferError, StorageError) as error:
            return Outcome(archive.path, archive.size, Status.FAILED, error=str(error))
        finally:
            pending.forget()

    def _publish(self, pending: Pending, delivery: Delivery) -> Outcome:
        archive = pending.archive
        if archive.fault is not None:
            raise archive.fault
        for _, done in pending.sent.values():
            if done is not None:
                done.result()
        image = _oci(archive) if INDEX in archive.documents else _docker(pending)
        reference = reference_for(archive.path, image.versions, self._selection.prefix)
        if not self._selection.admits(reference):
            return Outcome(archive.path, archive.size, Status.EXCLUDED, reference, image.root)
        if self._target.tagged(reference.repository, reference.tag) == image.root:
            return Outcome(archive.path, archive.size, Status.PRESENT, reference, image.root)
        _bring_rest(pending, image, reference.repository, delivery)
        tree = Tree(reference.repository, image.root, tuple(children_first(image.root, image.manifests)), ())
        self._target.publish(tree, reference.tag)
        return Outcome(archive.path, archive.size, Status.LOADED, reference, image.root)


def _bring_rest(pending: Pending, image: _Image, name: RepositoryName, delivery: Delivery) -> None:
    """What could not be sent before the name was certain, and what was no blob before a manifest needed it.

    Raises:
        MemberInvalid: a blob is neither in the archive nor at the registry.
    """
    for blob, content in pending.held:
        pending.sent[blob.digest] = blob.size, delivery.send(name, blob, content)
    pending.held.clear()
    needed = {blob.digest: blob for manifest in image.manifests.values() for blob in manifest.blobs}
    missing = []
    for digest, blob in needed.items():
        size, body = pending.sent.get(digest, (None, None))[0], image.documents.get(digest)
        if size is None and body is not None:
            size = len(body)
            pending.sent[digest] = size, delivery.send(name, blob, Document(body)) if size == blob.size else None
        if size is None and not delivery.is_there(name, blob):
            missing.append(blob)
        if size not in (None, blob.size):
            raise SizeInvalid(f"{digest} has {size} bytes, and {blob.size} were announced")
    for _, done in pending.sent.values():
        if done is not None:
            done.result()
    if missing:
        raise blobs_missing(missing, "at the registry")


def _oci(archive: Archive) -> _Image:
    layout = read_layout(archive.documents)
    return _Image(layout.root, layout.manifests, blob_documents(archive.documents), layout.versions)


def _docker(pending: Pending) -> _Image:
    archive, layers = pending.archive, pending.layers
    if "manifest.json" not in archive.documents or layers is None:
        raise MemberInvalid("neither an OCI layout (index.json) nor a docker-archive (manifest.json) is in it")
    converted = convert(archive, layers)
    for layer in {each.digest: each for each in converted.layers}.values():
        path = layers.path(layer.root, layer.digest)
        stretch = Stretch(Extent(path, 0, layer.size))
        pending.held.append((Descriptor(OCTET_STREAM, layer.digest, layer.size), stretch))
    root = Digest.of(converted.manifest.body)
    documents = {Digest.of(converted.config): converted.config}
    return _Image(root, {root: converted.manifest}, documents, converted.tags)
