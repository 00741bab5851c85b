"""Processes that hash and write blobs while this one reads on."""

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType, TracebackType
from typing import Self, TypeVarTuple

from loader.errors import MemberInvalid, MemberTruncated, WorkerKilled
from loader.rawfile import CHUNK, Extent
from registry.oci.digest import Digest
from registry.storage.blobs import BlobStore, BlobWriter, StoredBlob
from registry.storage.roots import Root
from registry.storage.uploads import LOAD_PREFIX

_PR_SET_PDEATHSIG = 1

Arguments = TypeVarTuple("Arguments")
_Task = tuple[Callable[..., StoredBlob], tuple[object, ...]]
_Answer = StoredBlob | Exception

_KILLED = "a loading process was killed, perhaps for want of memory: load again, it goes on from here"


class Pool:
    """A fixed number of processes; each task makes one blob of bytes that lie in a file.

    A thread waits for each process that is at work, at its end of a pipe: when the kernel kills
    the process, that end closes, and the task has failed.

    Raises:
        WorkerKilled: a process did not start, or not to the end.
    """

    def __init__(self, blobs: BlobStore, jobs: int) -> None:
        self._blobs = blobs
        self._idle: SimpleQueue[Connection[_Task, _Answer]] = SimpleQueue()
        self._processes: list[SpawnProcess] = []
        self._threads = ThreadPoolExecutor(jobs, "pool")
        resource_tracker.ensure_running()  # the first process starts it, and it unblocks SIGINT when it is started
        try:
            for _ in range(jobs):
                self._start()
        except OSError as error:
            self._end()
            raise WorkerKilled(f"a loading process did not start: {error.strerror}: load again") from error

    def _start(self) -> None:
        # Spawned, not forked: an open LMDB environment must not cross a fork.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._idle.put(ours)
        process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
        # Ctrl-C, blocked here and so there, is for the loader; they are told by the end of the pipe.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _main_left_out():
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._processes.append(process)

    def adopt(self, root: Root, path: Path, expected: Digest | None, size: int) -> Future[StoredBlob]:
        """Make a blob of a file that lies below `uploads/` of `root`."""
        return self._submit(_adopt, root, path, expected, size)

    def copy(self, extent: Extent, expected: Digest | None) -> Future[StoredBlob]:
        """Make a blob of a part of a plain file."""
        return self._submit(_copy, self._blobs, extent, expected)

    def _submit(self, task: "Callable[[*Arguments], StoredBlob]", *arguments: *Arguments) -> Future[StoredBlob]:
        return self._threads.submit(self._run, task, arguments)

    def _run(self, task: Callable[..., StoredBlob], arguments: tuple[object, ...]) -> StoredBlob:
        pipe = self._idle.get()
        try:
            pipe.send((task, arguments))
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerKilled(_KILLED) from error
        finally:
            self._idle.put(pipe)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for process in self._processes:
                process.kill()
        self._end()

    def _end(self) -> None:
        """After the tasks that run now, without those that wait."""
        self._threads.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()
        for process in self._processes:
            process.join()


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Keep a process that starts from importing the main module anew: the command line, half of what a start takes."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(pipe: "Connection[_Answer, _Task]", parent: int) -> None:
    """What a process does: one task after the other, until the loader closes the pipe, or dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(EOFError):
        while True:
            task, arguments = pipe.recv()
            pipe.send(_answer(task, arguments))


def _answer(task: Callable[..., StoredBlob], arguments: tuple[object, ...]) -> _Answer:
    try:
        return task(*arguments)
    except Exception as error:  # noqa: BLE001 whatever it is, the loader is to raise it
        error.add_note(traceback.format_exc())  # the one of the loader ends at the pipe
        return error


def _adopt(root: Root, path: Path, expected: Digest | None, size: int) -> StoredBlob:
    writer = BlobWriter.adopt(root, path, expected.algorithm if expected else "sha256")
    return writer.commit(expected, size, durable=False)


def _copy(blobs: BlobStore, extent: Extent, expected: Digest | None) -> StoredBlob:
    with _opened(extent.path) as source, blobs.create(expected, prefix=LOAD_PREFIX) as writer:
        buffer = memoryview(bytearray(CHUNK))
        left = extent.size
        while left:
            count = _read(source, buffer[:left], extent.offset + extent.size - left, extent.path)
            writer.write(buffer[:count])
            left -= count
        return writer.commit(expected, extent.size, durable=False)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MemberInvalid(f"cannot open {path}: {error.strerror}") from error
    try:
        yield source
    finally:
        os.close(source)


def _read(source: int, buffer: memoryview, offset: int, path: Path) -> int:
    try:
        count = os.preadv(source, [buffer], offset)
    except OSError as error:
        raise MemberInvalid(f"cannot read it from {path}: {error.strerror}") from error
    if count == 0:
        raise MemberTruncated("the archive ends in the middle of a file")
    return count
