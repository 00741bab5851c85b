"""Processes that hash and write blobs while this one reads on."""

import ctypes
import multiprocessing
import os
import signal
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Self

from loader.errors import MemberTruncated
from loader.stream import CHUNK, Extent
from registry.oci.digest import Digest
from registry.storage.blobs import BlobStore, BlobWriter, StoredBlob
from registry.storage.errors import StorageError
from registry.storage.roots import Root
from registry.storage.uploads import LOAD_PREFIX

_PR_SET_PDEATHSIG = 1


class Pool:
    """A fixed number of processes; each task makes one blob of bytes that lie in a file."""

    def __init__(self, blobs: BlobStore, jobs: int) -> None:
        self._blobs = blobs
        # Spawned, not forked: an open LMDB environment must not cross a fork.
        self._executor = ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(os.getpid(),)
        )

    def adopt(self, root: Root, path: Path, expected: Digest | None, size: int) -> Future[StoredBlob]:
        """Make a blob of a file that lies below `uploads/` of `root`."""
        return self._executor.submit(_adopt, root, path, expected, size)

    def copy(self, extent: Extent, expected: Digest | None) -> Future[StoredBlob]:
        """Make a blob of a part of a plain file."""
        return self._executor.submit(_copy, self._blobs, extent, expected)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def result(future: Future[StoredBlob]) -> StoredBlob:
    """The blob, or what went wrong.

    Raises:
        OCIError: the bytes do not match their digest or size.
        StorageError: the disk refuses, or a process was killed.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise StorageError("a loading process was killed (out of memory?): run the load again, it goes on") from error


def _adopt(root: Root, path: Path, expected: Digest | None, size: int) -> StoredBlob:
    writer = BlobWriter.adopt(root, path, expected.algorithm if expected else "sha256")
    return writer.commit(expected, size, durable=False)


def _copy(blobs: BlobStore, extent: Extent, expected: Digest | None) -> StoredBlob:
    with extent.path.open("rb", buffering=0) as source, blobs.create(expected, prefix=LOAD_PREFIX) as writer:
        buffer = memoryview(bytearray(CHUNK))
        left = extent.size
        while left:
            count = os.preadv(source.fileno(), [buffer[:left]], extent.offset + extent.size - left)
            if count == 0:
                raise MemberTruncated("the archive ends in the middle of a file")
            writer.write(buffer[:count])
            left -= count
        return writer.commit(expected, extent.size, durable=False)


def _prepare(parent: int) -> None:
    """Die with the loader, also when it is killed; leave Ctrl-C to it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() != parent:
        os._exit(1)
