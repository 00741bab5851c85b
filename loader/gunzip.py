"""A gzip file unpacked in threads of its own, from its beginning or from a checkpoint."""

import ctypes
import os
import threading
from collections import deque
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from typing import Final

from loader.checkpoint import Checkpoint
from loader.inflate import Inflation
from loader.rawfile import RawFile

_AHEAD: Final = 4
_PAUSE: Final = 0.05
_THREADS: Final = 4  # more than that unpack faster than one process can write

# mallopt(3): without these every piece that is let go goes back to the kernel, which gives it out again zeroed.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT: Final = 256 * 1024 * 1024
_LARGEST: Final = 32 * 1024 * 1024


class Gunzip:
    """A reader; `checkpoints` are what it passed, the newest last. To be closed."""

    def __init__(self, file: RawFile, start: Checkpoint | None = None) -> None:
        _keep_memory()
        self._is_piped = file.size is None
        self._inflation = Inflation(file, start, min(_THREADS, len(os.sched_getaffinity(0))))
        self._queue: Queue[bytes | Exception] = Queue(_AHEAD)
        self._stopped = threading.Event()
        self._rest = b""
        self._at = 0
        self._failure: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="gunzip", daemon=True)
        self._thread.start()

    @property
    def checkpoints(self) -> deque[Checkpoint]:
        """Where it could be begun another time."""
        return self._inflation.checkpoints

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end.

        Raises:
            EOFError, OSError, igzip_lib.IsalError: the file is damaged, or ends early. What came before it was given.
        """
        parts = []
        while count and (self._at < len(self._rest) or self._fetch()):
            part = self._rest[self._at : self._at + count]
            self._at += len(part)
            count -= len(part)
            parts.append(part)
        if not parts and count and self._failure is not None:
            raise self._failure
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Let the threads end; the file is left open. They are not waited for where they may wait for a pipe."""
        self._stopped.set()
        while self._thread.is_alive() and not self._is_piped:
            with suppress(Empty):
                self._queue.get(timeout=_PAUSE)

    def _fetch(self) -> bool:
        if self._ended:
            return False
        item = self._queue.get()
        if isinstance(item, Exception):
            self._failure = item
        self._rest, self._at = b"" if isinstance(item, Exception) else item, 0
        self._ended = not self._rest
        return not self._ended

    def _run(self) -> None:
        try:
            with closing(self._inflation.plain()) as pieces:
                for plain in pieces:
                    self._put(plain)
                    if self._stopped.is_set():
                        return
            self._put(b"")
        except Exception as error:  # noqa: BLE001  # read() raises it
            self._put(error)

    def _put(self, item: bytes | Exception) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                self._queue.put(item, timeout=_PAUSE)
                return


def _keep_memory() -> None:
    """Use memory again that was let go; a C library that cannot is as good, if slower."""
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST)
