"""Several processes that make load together: started, waited for, and gone whatever happens."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from bench.errors import BenchFailed

T = TypeVar("T")

_FORK = multiprocessing.get_context("fork")
_PATIENCE = 120.0
_NOTICE = 0.02


class Meeting:
    """All processes wait here until each has made its connections, and then begin at the same instant."""

    def __init__(self, parties: int) -> None:
        self._start = _FORK.Value("d", 0.0, lock=False)
        self._barrier = _FORK.Barrier(parties, self._agree)

    def start(self) -> float:
        """Wait for the others; the instant, on the monotonic clock, at which all begin."""
        self._barrier.wait(_PATIENCE)
        return float(self._start.value)

    def _agree(self) -> None:
        self._start.value = time.monotonic() + _NOTICE


@dataclass(frozen=True, slots=True)
class Share(Generic[T]):
    """What one process did, and how many seconds of a core it took for it."""

    result: T
    cpu: float


def processes() -> int:
    """How many make load by default: as many as cores, at least two, at most four."""
    return min(4, max(2, len(os.sched_getaffinity(0))))


def together(tasks: Sequence[Callable[[], T]]) -> list[Share[T]]:
    """Run every task in a process of its own, all at once.

    Raises:
        BenchFailed: one of them does, or ends without a word.
    """
    with _started(tasks) as running:
        return _results(running)


@contextmanager
def beside(tasks: Sequence[Callable[[], T]]) -> Iterator["Crew[T]"]:
    """Run every task in a process of its own while the block runs."""
    with _started(tasks) as running:
        yield Crew(running)


class Crew(Generic[T]):
    """Processes at work."""

    def __init__(self, running: Sequence[tuple[BaseProcess, Connection]]) -> None:
        self._running = running

    @property
    def is_done(self) -> bool:
        """Whether nobody has to be waited for."""
        return all(pipe.poll() for _, pipe in self._running)

    def results(self) -> list[T]:
        """What came of each.

        Raises:
            BenchFailed: one of them does, or ends without a word.
        """
        shares: list[Share[T]] = _results(self._running)
        return [share.result for share in shares]


@contextmanager
def _started(tasks: Sequence[Callable[[], T]]) -> Iterator[list[tuple[BaseProcess, Connection]]]:
    running: list[tuple[BaseProcess, Connection]] = []
    try:
        for task in tasks:
            here, there = _FORK.Pipe(duplex=False)
            process: BaseProcess = _FORK.Process(target=_run, args=(task, there), daemon=True)
            process.start()
            there.close()
            running.append((process, here))
        yield running
    finally:
        for process, pipe in running:
            pipe.close()
            if process.is_alive():
                process.kill()
            process.join()


def _run(task: Callable[[], T], pipe: Connection) -> None:
    """The parent alone acts on Ctrl-C, and ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = time.process_time()
    try:
        done: object = Share(task(), time.process_time() - before)
    except BenchFailed as error:
        done = error
    pipe.send(done)


def _results(running: Sequence[tuple[BaseProcess, Connection]]) -> list[Share[T]]:
    """In the order of the tasks; a failure is told at once, whoever still works."""
    found: dict[Connection, Share[T]] = {}
    while len(found) < len(running):
        waiting = {pipe: process for process, pipe in running if pipe not in found}
        for pipe in wait(waiting):
            assert isinstance(pipe, Connection)
            found[pipe] = _result(waiting[pipe], pipe)
    return [found[pipe] for _, pipe in running]


def _result(process: BaseProcess, pipe: Connection) -> Share[T]:
    try:
        done = pipe.recv()
    except EOFError as error:
        process.join()
        raise BenchFailed(f"a process that made load ended with {process.exitcode}") from error
    if isinstance(done, BenchFailed):
        raise done
    assert isinstance(done, Share)
    return done
