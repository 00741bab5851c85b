"""The bytes of a bundle as they lie on a medium: a file, pieces of one, or what a pipe brings."""

import errno
import io
import os
import select
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, Self

CHUNK: Final = 1024 * 1024
GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BUFFER = 64 * 1024  # headers of 512 bytes lie side by side


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a plain file, which another process can read for itself."""

    path: Path
    offset: int
    size: int


class RawFile(Protocol):
    """A file as far as a load needs it; its `position` may be asked for by other threads."""

    @property
    def size(self) -> int | None:
        """Bytes of it; None where only its end will tell."""

    @property
    def position(self) -> int:
        """How many bytes lie before what is read next."""

    def head(self, count: int, /) -> bytes:
        """Its first bytes, to be asked for before any is read."""

    def read(self, count: int = -1, /) -> bytes:
        """Up to `count` bytes, fewer only at the end."""

    def seek(self, offset: int, /) -> None:
        """Go to a byte, counted from the front."""

    def pread(self, buffer: memoryview, offset: int, /) -> int:
        """Bytes from anywhere into `buffer`; 0 only at the end."""

    def extent(self, offset: int, count: int, /) -> Extent | None:
        """Where these bytes lie, if they lie in one plain file."""

    def close(self) -> None:
        """It is not read any more."""


class BundleFile:
    """A file, or its pieces one behind the other, as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Opens them all.

        Raises:
            OSError: one cannot be opened.
        """
        if any(path.is_fifo() for path in paths):
            raise OSError(errno.ESPIPE, "it is a pipe, and only standard input may be one: 'k0rdentd load - < PIPE'")
        self._pieces = _Pieces(paths)
        self._reader = io.BufferedReader(self._pieces, _BUFFER)
        self.size = self._pieces.size
        self.position = 0  # the reader's own would wait for a thread that reads

    def head(self, count: int) -> bytes:
        """Its first bytes."""
        buffer = memoryview(bytearray(count))
        return bytes(buffer[: self.pread(buffer, 0)])

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, fewer only at the end."""
        chunk = self._reader.read(count)
        self.position += len(chunk)
        return chunk

    def seek(self, offset: int) -> None:
        """Go to a byte, counted from the front."""
        self.position = self._reader.seek(offset)

    def pread(self, buffer: memoryview, offset: int) -> int:
        """Bytes from anywhere into `buffer`; 0 only at the end."""
        return self._pieces.pread(buffer, offset)

    def extent(self, offset: int, count: int) -> Extent | None:
        """Where these bytes lie, unless they lie in several pieces."""
        return self._pieces.extent(offset, count)

    def close(self) -> None:
        """Close them all."""
        self._reader.close()


class Pipe:
    """What comes once, from front to back, and ends when it ends."""

    size = None

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._awaited: _Awaited | None = None
        self._head = b""
        self.position = 0

    @classmethod
    def of(cls, descriptor: int) -> Self:
        """What comes through a descriptor, which stays open."""
        awaited = _Awaited(descriptor)
        pipe = cls(io.BufferedReader(awaited, _BUFFER))
        pipe._awaited = awaited
        return pipe

    def interrupt(self) -> None:
        """Let a read that waits, and every later one, fail; also out of a signal's handler."""
        if self._awaited is not None:
            self._awaited.interrupt()

    def head(self, count: int) -> bytes:
        """Its first bytes, which `read` gives again."""
        self._head += self._file.read(count - len(self._head))
        return self._head[:count]

    def read(self, count: int = -1) -> bytes:
        """Up to `count` bytes, fewer only at the end."""
        head = self._head if count < 0 else self._head[:count]
        self._head = self._head[len(head) :]
        chunk = head + self._file.read(-1 if count < 0 else count - len(head))
        self.position += len(chunk)
        return chunk

    def seek(self, offset: int) -> None:
        """Only to where it is."""
        if offset != self.position:
            raise io.UnsupportedOperation("a pipe is read from front to back")

    def pread(self, buffer: memoryview, offset: int) -> int:
        """Only from where it is."""
        self.seek(offset)
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def extent(self, offset: int, count: int) -> Extent | None:  # as of every RawFile
        """None: they lie in no plain file."""
        return None

    def close(self) -> None:
        """Whoever opened it closes it; nobody is to wait for it any more."""
        self.interrupt()


class _Awaited(io.RawIOBase):
    """What a buffered reader needs, whose reads another thread can end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._interruption = os.eventfd(0)
        self._poll = select.poll()
        for each in (descriptor, self._interruption):
            self._poll.register(each, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than any buffer
        if any(ready == self._interruption for ready, _ in self._poll.poll()):
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        return os.readv(self._descriptor, [buffer])

    def interrupt(self) -> None:
        os.eventfd_write(self._interruption, 1)

    def close(self) -> None:
        if not self.closed:
            os.close(self._interruption)
        super().close()


class _Pieces(io.RawIOBase):
    """What a buffered reader needs."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._descriptors: list[int] = []
        self._starts = [0]
        self._position = 0
        with ExitStack() as undo:
            for path in paths:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                undo.callback(os.close, descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                self._descriptors.append(descriptor)
                self._starts.append(self._starts[-1] + os.fstat(descriptor).st_size)
            self._open = undo.pop_all()

    @property
    def size(self) -> int:
        return self._starts[-1]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than any buffer
        count = self.pread(memoryview(buffer), self._position)
        self._position += count
        return count

    def pread(self, buffer: memoryview, offset: int) -> int:
        number = bisect_right(self._starts, offset, hi=len(self._paths)) - 1
        # The last one may have grown meanwhile, and is read to its end as it is then.
        room = len(buffer) if number == len(self._paths) - 1 else self._starts[number + 1] - offset
        return os.preadv(self._descriptors[number], [buffer[:room]], offset - self._starts[number])

    def extent(self, offset: int, count: int) -> Extent | None:
        number = bisect_right(self._starts, offset, hi=len(self._paths)) - 1
        if offset + count > self._starts[number + 1] and number + 1 < len(self._paths):
            return None
        return Extent(self._paths[number], offset - self._starts[number], count)

    def close(self) -> None:
        if not self.closed:
            self._open.close()
        super().close()
