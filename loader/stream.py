"""Bytes that come once, from front to back: a plain file, a decompressor, or a part of either."""

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard
from isal import igzip_lib

from loader.checkpoint import Checkpoint
from loader.errors import BundleInvalid, LoaderError
from loader.gunzip import Gunzip, Resumption
from loader.split import Pieces

CHUNK = 1024 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, igzip_lib.IsalError, zstandard.ZstdError)  # type: ignore[assignment]  # its stub calls a class a value


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a plain file, which another process can read for itself."""

    path: Path
    offset: int
    size: int


class Reader(Protocol):
    """What a decompressor offers."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes, fewer only at the end."""


class ByteStream(Protocol):
    """A source of bytes."""

    @property
    def position(self) -> int:
        """How many bytes have gone by."""

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end."""

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""

    def extent(self, count: int) -> Extent | None:
        """Where the next `count` bytes lie, if they lie in a plain file."""


class FileStream:
    """A plain file; skipping costs nothing."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = file_size(file)

    @property
    def position(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> None:
        """Go on from there."""
        self._file.seek(position)

    def read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def skip(self, count: int) -> int:
        position = self._file.tell()
        self._file.seek(min(position + count, self._size))
        return self._file.tell() - position

    def extent(self, count: int) -> Extent | None:
        raw = getattr(self._file, "raw", None)
        if not isinstance(raw, Pieces):
            return Extent(self._path, self._file.tell(), count)
        place = raw.within_one(self._file.tell(), count)
        return None if place is None else Extent(*place, count)


class DecompressedStream:
    """What a decompressor makes of a file, or a pipe brings; `position` is where it begins."""

    def __init__(self, path: Path, reader: Reader, position: int = 0) -> None:
        self._path = path
        self._reader = reader
        self.position = position

    def read(self, count: int) -> bytes:
        try:
            chunk = self._reader.read(count)
        except DAMAGE as error:
            raise BundleInvalid(
                f"{self._path} is damaged or incomplete ({error}): copy it anew and load again"
            ) from error
        self.position += len(chunk)
        return chunk

    def skip(self, count: int) -> int:
        left = count
        while left and (chunk := self.read(min(left, CHUNK))):
            left -= len(chunk)
        return count - left

    def extent(self, count: int) -> Extent | None:
        return None


class GzipStream(DecompressedStream):
    """What a gzip file holds, from its beginning or from a checkpoint."""

    def __init__(self, path: Path, unpacked: Gunzip, position: int) -> None:
        super().__init__(path, unpacked, position)
        self._unpacked = unpacked

    def checkpoint(self, until: int) -> Checkpoint | None:
        """The newest one that lies before a byte of the output; older ones are forgotten."""
        found = None
        while self._unpacked.checkpoints and self._unpacked.checkpoints[0].offset <= until:
            found = self._unpacked.checkpoints.popleft()
        return found


class Window:
    """The next `size` bytes of a stream, and no byte more."""

    def __init__(self, stream: ByteStream, size: int, truncated: LoaderError) -> None:
        self._stream = stream
        self._left = size
        self._truncated = truncated
        self.size = size

    @property
    def position(self) -> int:
        return self._stream.position

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the window's end.

        Raises:
            LoaderError: the one that was given for a stream that ends inside the window.
        """
        wanted = min(count, self._left)
        chunk = self._stream.read(wanted)
        if len(chunk) < wanted:
            raise self._truncated
        self._left -= wanted
        return chunk

    def skip(self, count: int) -> int:
        wanted = min(count, self._left)
        if self._stream.skip(wanted) < wanted:
            raise self._truncated
        self._left -= wanted
        return wanted

    def extent(self, count: int) -> Extent | None:
        return self._stream.extent(min(count, self._left))

    def drain(self) -> None:
        """Pass over what is left."""
        self.skip(self._left)


EMPTY = Window(DecompressedStream(Path(os.devnull), io.BytesIO()), 0, LoaderError())


def unreadable(path: Path, error: OSError) -> BundleInvalid:
    """What a disk that cannot give a bundle's bytes amounts to."""
    return BundleInvalid(f"cannot read {path}: {error.strerror}: check the medium it is on, or copy it anew")


def file_size(file: BinaryIO) -> int:
    """Bytes of an open file, or of all its pieces."""
    raw = getattr(file, "raw", None)
    return raw.size if isinstance(raw, Pieces) else os.fstat(file.fileno()).st_size


def is_compressed(path: Path, file: BinaryIO) -> bool:
    """Whether a seekable file has to be unpacked to be read."""
    try:
        file.seek(0)
        magic = file.read(4)
    except OSError as error:
        raise unreadable(path, error) from error
    return magic.startswith(_GZIP_MAGIC) or magic == _ZSTD_MAGIC


@contextmanager
def open_stream(path: Path, file: BinaryIO, start: Resumption | None = None) -> Iterator[ByteStream]:
    """The bytes of a bundle file; its first bytes tell how it is compressed, whatever it is called.

    With `start`, which only a gzip file has, those from there on.
    """
    try:
        if file.seekable():
            file.seek(0)
        magic = file.read(4)
        if file.seekable():
            file.seek(0)
        else:
            file = io.BufferedReader(_Again(magic, file), CHUNK)
    except OSError as error:
        raise unreadable(path, error) from error
    if magic.startswith(_GZIP_MAGIC):
        # In a thread of its own: inflating is most of the work, and the bytes are written meanwhile.
        with closing(Gunzip(file, start)) as unpacked:
            yield GzipStream(path, unpacked, start.offset if start else 0)
    elif magic == _ZSTD_MAGIC:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False) as reader:
            yield DecompressedStream(path, io.BufferedReader(reader, CHUNK))
    elif file.seekable():
        yield FileStream(path, file)
    else:
        yield DecompressedStream(path, file)


class _Again(io.RawIOBase):
    """A pipe whose first bytes have been read already."""

    def __init__(self, head: bytes, pipe: BinaryIO) -> None:
        self._head = head
        self._pipe = pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than any buffer
        part = self._head[: len(buffer)] or self._pipe.read(len(buffer))
        self._head = self._head[len(part) :]
        buffer[: len(part)] = part
        return len(part)
