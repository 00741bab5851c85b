"""Copies images from one place to another: content before names, each blob once, what is there is passed over."""

import enum
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, OCIError, SizeInvalid
from registry.oci.reference import RepositoryName
from registry.transfer.errors import TransferError
from registry.transfer.patience import Endurance
from registry.transfer.selection import Named
from registry.transfer.source import BlobSource, Chunks, Source
from registry.transfer.target import Target
from registry.transfer.tree import Tree, read_referrers, read_tree


class Status(enum.Enum):
    """How an image fared."""

    COPIED = "copied"
    PRESENT = "present"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image; `size` is all that it needs, in bytes."""

    image: Named
    status: Status
    size: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None


class CheckedBlob:
    """A blob of a source that may be read from any offset reached before; its last bytes come only if all are right."""

    def __init__(self, source: BlobSource, name: RepositoryName, blob: Descriptor, endurance: Endurance) -> None:
        self._source = source
        self._name = name
        self._blob = blob
        self._endurance = endurance
        self._hash = blob.digest.hasher()
        self._hashed = 0

    def read(self, offset: int) -> Chunks:
        """The bytes from `offset` on.

        Raises:
            DigestInvalid, SizeInvalid: they are not what the descriptor says.
        """
        position = offset
        with closing(self._source.read_blob(self._name, self._blob, offset)) as chunks:
            for chunk in chunks:
                self._endurance.check()
                self._hash_fresh(chunk, position)
                position += len(chunk)
                self._check(position)
                yield chunk
        if position != self._blob.size:
            raise SizeInvalid(f"{self._blob.digest} has {position} bytes where {self._blob.size} were announced")
        self._check(position)

    def _hash_fresh(self, chunk: bytes, position: int) -> None:
        fresh = memoryview(chunk)[max(0, self._hashed - position) :]
        self._hash.update(fresh)
        self._hashed += len(fresh)

    def _check(self, position: int) -> None:
        if position > self._blob.size:
            raise SizeInvalid(f"{self._blob.digest} has more bytes than the {self._blob.size} that were announced")
        if position == self._blob.size and self._hash.hexdigest() != self._blob.digest.hex:
            raise DigestInvalid(f"the bytes of {self._blob.digest} in {self._name} hash to {self._hash.hexdigest()}")


class Copy:
    """One run from a source to a target, with so many blobs, and images, under way at once."""

    def __init__(
        self, source: Source, target: Target, endurance: Endurance, *, jobs: int = 4, referrers: bool = True
    ) -> None:
        self._source = source
        self._target = target
        self._endurance = endurance
        self._referrers = referrers
        self._jobs = jobs
        self._blobs: dict[Digest, tuple[RepositoryName, Future[int]]] = {}
        self._lock = threading.Lock()
        self.sent = 0

    def outcomes(self, images: Sequence[Named]) -> Iterator[Outcome]:
        """What became of each image, as they end; leaving early ends all that is under way.

        Raises:
            StorageError: a disk refuses. What was copied stays.
        """
        with (
            ThreadPoolExecutor(self._jobs, "blob") as blobs,
            ThreadPoolExecutor(self._jobs, "image") as workers,
        ):
            waiting = [workers.submit(self._copy, image, blobs) for image in images]
            try:
                for done in as_completed(waiting):
                    yield done.result()
            except BaseException:
                self._endurance.stop.set()
                for pool in (workers, blobs):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _copy(self, image: Named, blobs: ThreadPoolExecutor) -> Outcome:
        try:
            return self._copy_image(image, blobs)
        except (TransferError, OCIError) as error:
            return Outcome(image, Status.FAILED, error=str(error))

    def _copy_image(self, image: Named, blobs: ThreadPoolExecutor) -> Outcome:
        self._endurance.check()
        stored = self._source.get_manifest(image.repository, image.reference)
        present = self._is_present(image, stored.digest)
        if present and not self._referrers:
            return Outcome(image, Status.PRESENT, len(stored.body))
        tree = read_tree(self._source, image.repository, stored.digest)
        notes = [f"{digest} is listed, and not there" for digest in tree.missing]
        if not present:
            self._bring_blobs(tree, blobs)
        copied = self._copy_referrers(tree, blobs) if self._referrers else 0
        if not present:  # behind its signatures: who sees the image may look for them at once
            self._target.publish(tree, image.tag)
        if copied:
            notes.append(f"with {copied} that refer to it")
        status = Status.PRESENT if present and not copied else Status.COPIED
        return Outcome(image, status, tree.size, tuple(notes))

    def _is_present(self, image: Named, digest: Digest) -> bool:
        if image.tag is None:
            return self._target.has_manifest(image.repository, digest)
        return self._target.tagged(image.repository, image.tag) == digest

    def _copy_referrers(self, tree: Tree, blobs: ThreadPoolExecutor) -> int:
        count = 0
        for referrer in read_referrers(self._source, tree):
            if not self._target.has_manifest(referrer.repository, referrer.root):
                self._bring_blobs(referrer, blobs)
                self._target.publish(referrer, None)
                count += 1
        return count

    def _bring_blobs(self, tree: Tree, pool: ThreadPoolExecutor) -> None:
        """All blobs of an image; one that another image brings is waited for, and then mounted."""
        own, others = [], []
        for blob in tree.blobs:
            with self._lock:
                known = self._blobs.get(blob.digest)
                if known is None or _has_failed(known[1]):
                    future = pool.submit(self._bring, tree.repository, blob, None)
                    self._blobs[blob.digest] = tree.repository, future
                    own.append(future)
                elif known[0] != tree.repository:
                    others.append((blob, *known))
                else:
                    own.append(known[1])
        for future in own:
            future.result()
        for _, _, future in others:
            future.result()
        mounted = [pool.submit(self._bring, tree.repository, blob, name) for blob, name, _ in others]
        for future in mounted:
            future.result()

    def _bring(self, name: RepositoryName, blob: Descriptor, mount_from: RepositoryName | None) -> int:
        self._endurance.check()
        if self._target.has_blob(name, blob):
            return 0
        checked = CheckedBlob(self._source, name, blob, self._endurance)
        self._target.put_blob(name, blob, checked.read, mount_from)
        with self._lock:
            self.sent += 0 if mount_from else blob.size
        return blob.size


def _has_failed(future: Future[int]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
