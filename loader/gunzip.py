"""A gzip file unpacked in a thread of its own, from its beginning or from a checkpoint."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Final

from isal import igzip_lib

from loader.checkpoint import KEPT, WINDOW, Checkpoint, aligned, decompressor, find_block
from loader.rawfile import CHUNK, RawFile

_LIMIT: Final = 2 * CHUNK  # what is unpacked in one step: a bomb comes in pieces, too
_AHEAD: Final = 3
_REMEMBERED: Final = 16  # checkpoints that nobody has asked for yet
_PAUSE: Final = 0.05
_TRAILER: Final = 8  # CRC32 and ISIZE, RFC 1952
INTERVAL: Final = 64 * CHUNK  # of output, between two checkpoints


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where to begin: a block at bit `bit` behind byte `begin` of the file, whose output begins at `offset`."""

    begin: int
    packed: int
    bit: int
    window: bytes
    offset: int


def resume_at(file: RawFile, checkpoint: Checkpoint) -> Resumption | None:
    """How to go on from a checkpoint; None if the file does not hold there what the checkpoint remembers."""
    begin = max(0, checkpoint.packed - KEPT)
    packed = memoryview(bytearray(checkpoint.packed - begin))
    read = 0
    while count := file.pread(packed[read:], begin + read) if read < len(packed) else 0:
        read += count
    block = find_block(bytes(packed[:read]), checkpoint.plain)
    if block is None:
        return None
    window = checkpoint.plain[block.at - WINDOW : block.at]
    offset = checkpoint.offset - len(checkpoint.plain) + block.at
    return Resumption(begin, checkpoint.packed, block.bit, window, offset)


class Gunzip:
    """A reader; `checkpoints` are what it passed, the newest last. To be closed."""

    def __init__(self, file: RawFile, start: Resumption | None = None) -> None:
        self._file = file
        self._start = start
        self.checkpoints: deque[Checkpoint] = deque(maxlen=_REMEMBERED)
        self._queue: Queue[bytes | Exception] = Queue(_AHEAD)
        self._stopped = threading.Event()
        self._rest = b""
        self._at = 0
        self._failure: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="gunzip", daemon=True)
        self._thread.start()

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
        """Let the thread end; the file is left open."""
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(Empty):
                self._queue.get(timeout=_PAUSE)
        self._thread.join()

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
            for plain in self._unpacked():
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

    def _unpacked(self) -> Iterator[bytes]:
        members = _Members(self._start)
        offset = noted = self._start.offset if self._start else 0
        packed = self._begin()
        while packed:
            position = self._file.position
            for plain in members.unpack(packed):
                yield plain
                offset += len(plain)
                if offset - noted >= INTERVAL and members.is_even and KEPT <= len(plain) < _LIMIT:
                    self.checkpoints.append(Checkpoint(position, offset, plain[-KEPT:]))
                    noted = offset
            packed = self._file.read(CHUNK)
        members.end()

    def _begin(self) -> bytes:
        if self._start is None:
            return self._file.read(CHUNK)
        self._file.seek(self._start.begin)
        return aligned(self._file.read(self._start.packed - self._start.begin), self._start.bit)


class _Members:
    """The members of a gzip file, one behind the other; zeros may follow them."""

    def __init__(self, start: Resumption | None) -> None:
        self._unpacker = decompressor(start.window) if start else None
        self._is_raw = start is not None
        self._trailer = 0
        self._begun = start is not None

    @property
    def is_even(self) -> bool:
        """Whether all that was given has come out, and more of the same member may follow."""
        return self._unpacker is not None and self._unpacker.needs_input and not self._unpacker.eof

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            if self._unpacker is None:
                packed = self._between(packed)
                continue
            plain = self._unpacker.decompress(packed, _LIMIT)
            while plain:
                yield plain
                done = self._unpacker.eof or self._unpacker.needs_input
                plain = b"" if done else self._unpacker.decompress(b"", _LIMIT)
            packed = self._leave() if self._unpacker.eof else b""

    def end(self) -> None:
        """Raises EOFError if a member has not ended."""
        if self._unpacker is not None or self._trailer or not self._begun:
            raise EOFError("it ends before its end-of-stream marker")

    def _leave(self) -> bytes:
        assert self._unpacker is not None
        rest = self._unpacker.unused_data
        self._unpacker = None
        self._trailer, self._is_raw = (_TRAILER if self._is_raw else 0), False
        return rest

    def _between(self, packed: bytes) -> bytes:
        passed = min(self._trailer, len(packed))
        self._trailer -= passed
        packed = packed[passed:] if self._trailer or not self._begun else packed[passed:].lstrip(b"\0")
        if packed:
            self._unpacker = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            self._begun = True
        return packed
