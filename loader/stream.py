"""Bytes that come once, from front to back: a plain file, a decompressor, or a part of either."""

import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zstandard
from isal import igzip_lib, igzip_threaded

from loader.errors import BundleInvalid, LoaderError

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


class RawFile(Protocol):
    """A file as far as a stream needs it."""

    def read(self, count: int = -1, /) -> bytes:
        """Up to `count` bytes, fewer only at the end."""

    def seek(self, offset: int, /) -> int:
        """Go to a byte, counted from the front."""

    def tell(self) -> int:
        """Where it is."""

    def fileno(self) -> int:
        """For system calls."""


class ByteStream(Protocol):
    """A source of bytes."""

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end."""

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""

    def extent(self, count: int) -> Extent | None:
        """Where the next `count` bytes lie, if they lie in a plain file."""


class FileStream:
    """A plain file; skipping costs nothing."""

    def __init__(self, path: Path, file: RawFile) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

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
        return Extent(self._path, self._file.tell(), count)


class OneWay:
    """What can only be read: to pass over bytes is to read them, and no other process can get at them."""

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end."""
        raise NotImplementedError

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""
        left = count
        while left and (chunk := self.read(min(left, CHUNK))):
            left -= len(chunk)
        return count - left

    def extent(self, count: int) -> Extent | None:  # as of every ByteStream
        """None: they lie in no plain file."""
        return None


class DecompressedStream(OneWay):
    """What a decompressor makes of a file."""

    def __init__(self, path: Path, reader: io.BufferedIOBase) -> None:
        self._path = path
        self._reader = reader

    def read(self, count: int) -> bytes:
        try:
            return self._reader.read(count)
        except DAMAGE as error:
            raise BundleInvalid(
                f"{self._path} is damaged or incomplete ({error}): copy it anew and load again"
            ) from error


class Window:
    """The next `size` bytes of a stream, and no byte more."""

    def __init__(self, stream: ByteStream, size: int, truncated: LoaderError) -> None:
        self._stream = stream
        self._left = size
        self._truncated = truncated
        self.size = size

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


@contextmanager
def open_stream(path: Path, file: RawFile) -> Iterator[ByteStream]:
    """The bytes of a bundle file; its first bytes tell how it is compressed, whatever it is called."""
    try:
        magic = file.read(4)
        file.seek(0)
    except OSError as error:
        raise unreadable(path, error) from error
    if magic.startswith(_GZIP_MAGIC):
        # In a thread of its own: inflating is most of the work, and the bytes are written meanwhile.
        with igzip_threaded.open(file, "rb", threads=1, block_size=CHUNK) as reader:  # type: ignore[no-untyped-call]
            yield DecompressedStream(path, reader)
    elif magic == _ZSTD_MAGIC:
        unpacker = zstandard.ZstdDecompressor()
        with unpacker.stream_reader(file, read_across_frames=True, closefd=False) as reader:  # type: ignore[arg-type]  # it only reads
            yield DecompressedStream(path, io.BufferedReader(reader, CHUNK))
    else:
        yield FileStream(path, file)
