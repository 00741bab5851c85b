"""Processes that hash and write blobs while this one reads on."""

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, TypeVarTuple

from loader.errors import MemberInvalid, MemberTruncated, WorkerKilled
from loader.stream import CHUNK, Extent
from registry.oci.digest import Digest
from registry.storage.blobs import BlobStore, BlobWriter, StoredBlob
from registry.storage.roots import Root
from registry.storage.uploads import LOAD_PREFIX

_PR_SET_PDEATHSIG = 1
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class Pool:
    """A fixed number of processes; each task makes one blob of bytes that lie in a file."""

    def __init__(self, blobs: BlobStore, jobs: int) -> None:
        self._blobs = blobs
        # Spawned, not forked: an open LMDB environment must not cross a fork.
        self._executor = ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(os.getpid(),)
        )
        # All at once, before there is work: a process that the executor starts while it ends the
        # others, one of which was killed, is never told, and is waited for without end.
        # With Ctrl-C blocked, which they inherit: it is for the loader, and they are told by their end.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(jobs):
                self._submit(os.getpid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def adopt(self, root: Root, path: Path, expected: Digest | None, size: int) -> Future[StoredBlob]:
        """Make a blob of a file that lies below `uploads/` of `root`."""
        return self._submit(_adopt, root, path, expected, size)

    def copy(self, extent: Extent, expected: Digest | None) -> Future[StoredBlob]:
        """Make a blob of a part of a plain file."""
        return self._submit(_copy, self._blobs, extent, expected)

    def _submit(self, task: "Callable[[*Arguments], Result]", *arguments: *Arguments) -> Future[Result]:
        try:
            return self._executor.submit(task, *arguments)
        except BrokenProcessPool as error:
            raise _killed() from error

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
        StorageError: the disk refuses.
        WorkerKilled: a process of the pool was.
        MemberInvalid: the archive ends early or cannot be read.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _killed() from error


def _killed() -> WorkerKilled:
    """The executor ends its processes, but not one that it was just starting, and then waits for that without end."""
    for child in multiprocessing.active_children():
        child.kill()
    return WorkerKilled("a loading process was killed, perhaps for want of memory: load again, it goes on from here")


def _adopt(root: Root, path: Path, expected: Digest | None, size: int) -> StoredBlob:
    writer = BlobWriter.adopt(root, path, expected.algorithm if expected else "sha256")
    return writer.commit(expected, size, durable=False)


def _copy(blobs: BlobStore, extent: Extent, expected: Digest | None) -> StoredBlob:
    with extent.path.open("rb", buffering=0) as source, blobs.create(expected, prefix=LOAD_PREFIX) as writer:
        buffer = memoryview(bytearray(CHUNK))
        left = extent.size
        while left:
            count = _read(source.fileno(), buffer[:left], extent.offset + extent.size - left, extent.path)
            writer.write(buffer[:count])
            left -= count
        return writer.commit(expected, extent.size, durable=False)


def _read(source: int, buffer: memoryview, offset: int, path: Path) -> int:
    try:
        count = os.preadv(source, [buffer], offset)
    except OSError as error:
        raise MemberInvalid(f"cannot read it from {path}: {error.strerror}") from error
    if count == 0:
        raise MemberTruncated("the archive ends in the middle of a file")
    return count


def _prepare(parent: int) -> None:
    """Die with the loader, also when it is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
