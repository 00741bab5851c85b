"""A file's digests, taken in the same pass in which the file is read for something else."""

import hashlib
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from loader.rawfile import CHUNK, Extent, RawFile
from loader.stream import unreadable

SHA256 = "sha256"

# Read and not hashed yet: in memory, and as a distance in the file, where it is the page cache that holds it.
_HELD_LIMIT = 32 * 1024 * 1024
_BEHIND_LIMIT = 512 * 1024 * 1024


class HashedFile:
    """A file of which every byte is hashed once, from front to back, by a thread.

    What is read goes to the thread as it is; what is skipped, the thread reads for itself; whoever
    reads waits where the thread is too far behind. SHA-256 lets go of Python's lock meanwhile.
    """

    def __init__(self, path: Path, file: RawFile, algorithms: Iterable[str]) -> None:
        self._path = path
        self._file = file
        self._hashes = {name: hashlib.new(name) for name in algorithms}
        self._reading = threading.Lock()
        self._frontier = 0  # up to here the file was given to the thread
        self._complete = False
        self._changed = threading.Condition()
        self._pieces: deque[memoryview | int | None] = deque()  # bytes; how far to read; to the end
        self._held = 0
        self._hashed = 0
        self._over = False
        self._finished = False
        self._error: OSError | None = None
        self._beginnings: dict[int, bytes] = {}
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int | None:
        """As the file's."""
        return self._file.size

    @property
    def position(self) -> int:
        """As the file's."""
        return self._file.position

    def head(self, count: int) -> bytes:
        """As the file's; it only hints at what is to be read."""
        return self._file.head(count)

    def read(self, count: int = -1) -> bytes:
        """As the file's; of a pipe nothing more once its digests were asked for."""
        with self._reading:
            if self._complete and self._file.size is None:
                return b""
            offset = self._file.position
            chunk = self._file.read(count)
            if not self._complete:
                self._take(offset, chunk)
        return chunk

    def readinto(self, buffer: memoryview) -> int:
        """As the file's."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def seek(self, offset: int) -> None:
        """As the file's."""
        self._file.seek(offset)

    def pread(self, buffer: memoryview, offset: int) -> int:
        """As the file's; it counts as not read."""
        return self._file.pread(buffer, offset)

    def extent(self, offset: int, count: int) -> Extent | None:
        """As the file's."""
        return self._file.extent(offset, count)

    def pass_over(self, size: int) -> None:
        """Let the thread begin at once with what nobody is going to read."""
        with self._reading:
            self._put(size)
            self._frontier = size

    def beginning(self, size: int) -> str:
        """The SHA-256 of the first bytes, so many whole MiB that have been read, as they were then."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._hashed >= size)
            for each in [each for each in self._beginnings if each < size]:
                del self._beginnings[each]
            return self._beginnings.get(size, b"").hex()

    def digests(self) -> dict[str, bytes]:
        """Those of the whole file, by algorithm; what has not been read of it is read now.

        Raises:
            BundleInvalid: the disk cannot give it.
        """
        with self._reading:
            if not self._complete:
                self._complete = True
                self._put(None)
        self._thread.join()
        if self._error is not None:
            raise unreadable(self._path, self._error)
        assert self._finished, "closed before its end"
        return {name: each.digest() for name, each in self._hashes.items()}

    def close(self) -> None:
        """End the thread, wherever it is, and close the file."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join()
        self._file.close()

    def _take(self, offset: int, chunk: bytes) -> None:
        end = offset + len(chunk)
        if end <= self._frontier:
            return
        if offset > self._frontier:
            self._put(offset)
            self._frontier = offset
        self._put(memoryview(chunk)[self._frontier - offset :])
        self._frontier = end

    def _put(self, piece: memoryview | int | None) -> None:
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._pieces.append(piece)
            self._held += len(piece) if isinstance(piece, memoryview) else 0
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._over or (self._held <= _HELD_LIMIT and self._frontier - self._hashed <= _BEHIND_LIMIT)

    def _run(self) -> None:
        try:
            while not self._over and (piece := self._next()) is not None:
                self._hash(piece)
            self._hash_file(None)
            self._finished = not self._over
        except OSError as error:
            self._error = error
        finally:
            with self._changed:
                self._over = True  # nobody must wait for a thread that is gone
                self._changed.notify_all()

    def _next(self) -> memoryview | int | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self._over)
            return self._pieces.popleft() if self._pieces else None

    def _hash(self, piece: memoryview | int) -> None:
        if isinstance(piece, int):
            self._hash_file(piece)
            return
        while piece:
            part = piece[: CHUNK - self._hashed % CHUNK]  # to a whole MiB, of which the digest is noted
            self._update(part)
            self._tell_hashed(len(part), held=len(part))
            piece = piece[len(part) :]

    def _hash_file(self, end: int | None) -> None:
        """From where the thread is to `end`, or to the end of the file, however long it is by now."""
        buffer = memoryview(bytearray(CHUNK))
        while not self._over and (end is None or self._hashed < end):
            wanted = CHUNK if end is None else min(CHUNK, end - self._hashed)
            count = self._file.pread(buffer[:wanted], self._hashed)
            if count == 0:
                return
            self._update(buffer[:count])
            self._tell_hashed(count)

    def _update(self, chunk: memoryview) -> None:
        for each in self._hashes.values():
            each.update(chunk)

    def _tell_hashed(self, count: int, held: int = 0) -> None:
        with self._changed:
            self._hashed += count
            self._held -= held
            if self._hashed % CHUNK == 0:
                self._beginnings[self._hashed] = self._hashes[SHA256].copy().digest()
            self._changed.notify_all()
