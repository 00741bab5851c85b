"""Bytes that come once, from front to back: a plain file, a decompressor, a pipe, or a part of any of them."""

import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import zstandard

from loader import unpacker
from loader.checkpoint import Checkpoint
from loader.errors import BundleInvalid, LoaderError
from loader.gunzip import Gunzip
from loader.rawfile import CHUNK, GZIP_MAGIC, ZSTD_MAGIC, Extent, RawFile

DAMAGE: tuple[type[Exception], ...] = (*unpacker.DAMAGE, OSError, zstandard.ZstdError)


class Reader(Protocol):
    """What a decompressor offers."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes, fewer only at the end."""


class ByteStream(Protocol):
    """A source of bytes."""

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end."""

    def skip(self, count: int) -> int:
        """Pass over `count` bytes; returns how many there were."""

    def extent(self, count: int) -> Extent | None:
        """Where the next `count` bytes lie, if they lie in a plain file."""


class FileStream:
    """A plain file of known size; skipping costs nothing."""

    def __init__(self, path: Path, file: RawFile) -> None:
        self._path = path
        self._file = file
        self._size = file.size or 0

    def seek(self, position: int) -> None:
        """Go on from there."""
        self._file.seek(position)

    def read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def skip(self, count: int) -> int:
        position = self._file.position
        self._file.seek(min(position + count, self._size))
        return self._file.position - position

    def extent(self, count: int) -> Extent | None:
        return self._file.extent(self._file.position, count)


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
    """What a decompressor makes of a file, or a pipe brings."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self._path = path
        self._reader = reader

    def read(self, count: int) -> bytes:
        try:
            return self._reader.read(count)
        except DAMAGE as error:
            raise BundleInvalid(
                f"{self._path} is damaged or incomplete ({error}): copy it anew and load again"
            ) from error


class GzipStream(DecompressedStream):
    """What a gzip file holds."""

    def __init__(self, path: Path, unpacked: Gunzip) -> None:
        super().__init__(path, unpacked)
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


def is_compressed(path: Path, file: RawFile) -> bool:
    """Whether it has to be unpacked to be read; its first bytes tell, whatever it is called."""
    magic = _magic(path, file)
    return magic.startswith(GZIP_MAGIC) or magic == ZSTD_MAGIC


@contextmanager
def open_stream(path: Path, file: RawFile, start: Checkpoint | None = None) -> Iterator[ByteStream]:
    """The bytes of a bundle file, unpacked; with `start`, which only a gzip file has, those from there on."""
    magic = _magic(path, file)
    if file.size is not None:
        file.seek(0)
    if magic.startswith(GZIP_MAGIC):
        # In a thread of its own: inflating is most of the work, and the bytes are written meanwhile.
        with closing(Gunzip(file, start)) as unpacked:
            yield GzipStream(path, unpacked)
    elif magic == ZSTD_MAGIC:
        unpacker = zstandard.ZstdDecompressor()
        with unpacker.stream_reader(file, read_across_frames=True, closefd=False) as reader:  # type: ignore[arg-type]  # it only reads
            yield DecompressedStream(path, io.BufferedReader(reader, CHUNK))
    elif file.size is None:
        yield DecompressedStream(path, file)
    else:
        yield FileStream(path, file)


def _magic(path: Path, file: RawFile) -> bytes:
    try:
        return file.head(4)
    except OSError as error:
        raise unreadable(path, error) from error
