"""One file out of an image's layer, which may have been made by anybody."""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import zstandard
from isal import igzip, igzip_lib

from registry.oci.digest import Digest
from registry.oci.errors import Failure

CHUNK = 1024 * 1024

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_LAYER_LIMIT = 4 << 30  # unpacked: a bomb grows to a thousand times its size
_ENTRIES_LIMIT = 200_000
_PAX_LIMIT = 64 * 1024
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_DAMAGE: tuple[type[Exception], ...] = (
    *(EOFError, zlib.error, gzip.BadGzipFile, igzip_lib.IsalError),
    zstandard.ZstdError,  # type: ignore[assignment]  # its stub calls a class a value
)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_BODILESS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_RENAMED = re.compile(rb"(?:^|\n)[0-9]+ path=")
_RESIZED = re.compile(rb"(?:^|\n)[0-9]+ (?:size|GNU\.sparse\.[a-z]+)=")


class LayerInvalid(Failure):
    """A layer is damaged, hostile, or not what it has to be."""


class Readable(Protocol):
    """What decompressors read from, and what they are."""

    def read(self, count: int = -1, /) -> bytes: ...


class _Hashed(io.RawIOBase):
    """A blob's file that is hashed on its way."""

    def __init__(self, file: BinaryIO, digest: Digest) -> None:
        self._file = file
        self._digest = digest
        self._hash = digest.hasher()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview[int]", /) -> int:  # type: ignore[override]  # it says Buffer
        chunk = self._file.read(len(buffer))
        self._hash.update(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def verify(self) -> None:
        """Read on to the end.

        Raises:
            LayerInvalid: the bytes are not those that the digest names.
        """
        while self.read(CHUNK):
            pass
        if self._hash.hexdigest() != self._digest.hex:
            raise LayerInvalid(f"{self._digest} has other bytes on disk: load it again")


def file_in_layer(layer: BinaryIO, digest: Digest, path: str, limit: int) -> Iterator[bytes]:
    """The bytes of the regular file at `path`, in pieces; nothing where the layer does not have it.

    The blob is verified whole when the last piece has come.

    Raises:
        LayerInvalid: it is damaged, has more than `limit` bytes there, or something else than a file.
    """
    hashed = _Hashed(layer, digest)
    tar = _Tar(_unpacked(hashed, _magic(layer)))
    size = tar.find(path, limit)
    if size is None:
        return
    while size:
        chunk = tar.take(min(size, CHUNK))
        size -= len(chunk)
        yield chunk
    hashed.verify()


def _magic(layer: BinaryIO) -> bytes:
    magic = layer.read(4)
    layer.seek(0)
    return magic


def _unpacked(layer: _Hashed, magic: bytes) -> Readable:
    """What the first bytes say; media types are often wrong."""
    if magic.startswith(_GZIP_MAGIC):
        unzipped: Readable = igzip.IGzipFile(fileobj=layer, mode="rb")  # type: ignore[no-untyped-call]
        return unzipped
    if magic == _ZSTD_MAGIC:
        reader = zstandard.ZstdDecompressor().stream_reader
        return reader(layer, read_across_frames=True, closefd=False)  # type: ignore[arg-type]  # it does but read
    return layer


class _Tar:
    """A tar that is walked once, front to back; nothing is kept of it, for a hostile one has no end of entries."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._taken = 0

    def take(self, count: int) -> bytes:
        """All of `count` bytes."""
        self._taken += count
        if self._taken > _LAYER_LIMIT:
            raise LayerInvalid(f"a layer unpacks to more than {_LAYER_LIMIT >> 30} GiB")
        pieces = []
        while count:
            piece = self._read(count)
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def find(self, path: str, limit: int) -> int | None:
        """Stand at the first byte of the file at `path`, and tell its size; None where there is none.

        Writers spell a path of this length in the header itself, so a name from an extension is another's.
        """
        renamed = False
        for header in self._headers():
            if header.type in _PAX:
                renamed = self._renames(header)
            elif header.type in _LONG:
                renamed = True
                self._pass(header.size)
            elif not renamed and header.name.removeprefix("./") == path:
                return _checked(header, limit)
            else:
                renamed = False
                self._pass(0 if header.type in _BODILESS else header.size)
        return None

    def _headers(self) -> Iterator[tarfile.TarInfo]:
        for _ in range(_ENTRIES_LIMIT):
            block = self.take(_BLOCK)
            if block == _ZEROS:
                return
            try:
                yield tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except (tarfile.HeaderError, ValueError) as error:
                raise LayerInvalid(f"a layer is no tar, or a damaged one ({error})") from error
        raise LayerInvalid(f"a layer has more than {_ENTRIES_LIMIT} entries")

    def _renames(self, header: tarfile.TarInfo) -> bool:
        if not 0 <= header.size <= _PAX_LIMIT:
            raise LayerInvalid(f"the attributes of an entry in a layer have {header.size} bytes")
        attributes = self.take(header.size)
        self.take(-header.size % _BLOCK)
        if _RESIZED.search(attributes):
            raise LayerInvalid("an entry of a layer is sparse, or larger than 8 GiB")
        return _RENAMED.search(attributes) is not None

    def _pass(self, count: int) -> None:
        if not 0 <= count <= _LAYER_LIMIT:
            raise LayerInvalid(f"an entry of a layer says that it has {count} bytes")
        count += -count % _BLOCK
        while count:
            count -= len(self.take(min(count, CHUNK)))

    def _read(self, count: int) -> bytes:
        try:
            piece = self._stream.read(count)
        except _DAMAGE as error:
            raise LayerInvalid(f"a layer is damaged ({error})") from error
        if not piece:
            raise LayerInvalid("a layer ends too early")
        return piece


def _checked(header: tarfile.TarInfo, limit: int) -> int:
    if header.type not in _FILES:
        raise LayerInvalid(f"{header.name!r} in a layer is a link or a special file")
    if not 0 < header.size <= limit:
        raise LayerInvalid(f"{header.name!r} in a layer has {header.size} bytes")
    return header.size
