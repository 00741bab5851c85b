"""Tar archives as values: their content can be streamed again and again, and never sits in memory whole."""

import gzip
import io
import struct
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from isal import isal_zlib

Content = Iterable[bytes]
"""What a member holds. Iterable twice (a tuple, an Archive; not a generator): once to hash, once to emit."""

Dialect = Literal[0, 1, 2]
"""One of tarfile.USTAR_FORMAT, GNU_FORMAT and PAX_FORMAT."""

MTIME = 1_735_689_600  # 2025-01-01, so that the same input gives the same bytes
TAR_BLOCK = 512
GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")  # no name, no time
STORED_LIMIT = 0xFFFF  # RFC 1951, 3.2.4


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a tar; nothing checks that it is sane, so that hostile archives can be made too."""

    name: str
    content: Content = ()
    size: int = 0
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""

    @classmethod
    def file(cls, name: str, body: bytes, mode: int = 0o644) -> Self:
        """A regular file that holds `body`."""
        return cls(name, (body,), len(body), mode)

    @classmethod
    def directory(cls, name: str) -> Self:
        """A directory."""
        return cls(name.rstrip("/"), mode=0o755, kind=tarfile.DIRTYPE)

    @classmethod
    def link(cls, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Self:
        """A symbolic link; a hard link with `kind=tarfile.LNKTYPE`."""
        return cls(name, mode=0o777, kind=kind, target=target)

    @classmethod
    def device(cls, name: str, kind: bytes = tarfile.CHRTYPE) -> Self:
        """A device node (0, 0), which an unprivileged reader could not even create."""
        return cls(name, kind=kind)

    def header(self, dialect: Dialect) -> bytes:
        """The header block of this member, preceded by extension blocks where `dialect` needs them."""
        info = tarfile.TarInfo(self.name)
        info.size, info.mode, info.mtime = self.size, self.mode, MTIME
        info.type, info.linkname = self.kind, self.target
        return info.tobuf(dialect, "utf-8", "surrogateescape")


def files(bodies: Mapping[str, bytes], mode: int = 0o644) -> tuple[Entry, ...]:
    """Regular files of one mode: `files({"bin/busybox": body}, mode=0o755)`."""
    return tuple(Entry.file(name, body, mode) for name, body in bodies.items())


def tar_chunks(entries: Iterable[Entry], dialect: Dialect) -> Iterator[bytes]:
    """The tar that holds `entries`, piece by piece; takes each entry only when it is due."""
    for entry in entries:
        yield entry.header(dialect)
        yield from entry.content
        if padding := -entry.size % TAR_BLOCK:
            yield bytes(padding)
    yield bytes(2 * TAR_BLOCK)


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar of known members; itself a Content, so an archive can be a member of another."""

    entries: tuple[Entry, ...]
    dialect: Dialect = tarfile.PAX_FORMAT  # what Go's archive/tar writes, thus skopeo

    def __iter__(self) -> Iterator[bytes]:
        return tar_chunks(self.entries, self.dialect)

    @property
    def size(self) -> int:
        """Its length in bytes, told without reading any content."""
        padded = (entry.size + -entry.size % TAR_BLOCK for entry in self.entries)
        headers = (len(entry.header(self.dialect)) for entry in self.entries)
        return sum(padded) + sum(headers) + 2 * TAR_BLOCK

    def as_entry(self, name: str) -> Entry:
        """This archive as a member of an outer one."""
        return Entry(name, self, self.size)

    def to_bytes(self) -> bytes:
        """The whole archive in memory; for small ones."""
        return b"".join(self)

    def write(self, path: Path) -> Path:
        """Write the archive to `path` and return it."""
        with path.open("wb") as out:
            out.writelines(self)
        return path


@dataclass(frozen=True, slots=True)
class StoredGzip:
    """`plain` as a gzip file of stored blocks: valid, and as fast to make as to copy."""

    plain: Content

    def __iter__(self) -> Iterator[bytes]:
        crc = size = 0
        yield GZIP_HEADER
        for chunk in self.plain:
            crc = isal_zlib.crc32(chunk, crc)
            size += len(chunk)
            yield from _stored_blocks(chunk)
        yield b"\x01\x00\x00\xff\xff" + struct.pack("<II", crc, size & 0xFFFFFFFF)


def _stored_blocks(chunk: bytes) -> Iterator[bytes]:
    for start in range(0, len(chunk), STORED_LIMIT):
        block = chunk[start : start + STORED_LIMIT]
        yield struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF)
        yield block


def deflate(content: Content) -> bytes:
    """`content` as a really compressed gzip file; in memory, for small content."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as stream:
        stream.writelines(content)
    return packed.getvalue()
