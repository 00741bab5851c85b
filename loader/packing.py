"""A bundle as an uncompressed tar with an index in front: it loads in parallel from the first second.

k0rdentd-index.json   {"version": 1, "members": [{"name", "offset", "size", "blobs": [[digest, offset, size], …]}, …]},
                      filled up with spaces; offsets are those of bytes in the file. Who does not know it passes it over
…                     the members
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loader.archive import read_archive
from loader.errors import BundleInvalid, LoaderError, MemberInvalid
from loader.layout import blob_digest, is_blob
from loader.naming import is_archive
from loader.stream import OneWay, Window
from loader.tar import Kind
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.transfer import tarball
from registry.transfer.output import new_file, write_all

INDEX_NAME = "k0rdentd-index.json"

_LIMIT = 128 * 1024 * 1024  # of an index; the vendor's bundle takes 1.5 MB
_MEMBER_ROOM = 2048  # a name may have any character, and JSON writes some as six
_BLOB_ROOM = 192


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """Where a blob of a member lies in the bundle."""

    digest: Digest
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A member, where its bytes lie in the bundle, and the blobs in it."""

    name: str
    offset: int
    size: int
    blobs: tuple[BlobPlace, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Its part of the index."""
        blobs = [[str(each.digest), each.offset, each.size] for each in self.blobs]
        return {"name": self.name, "offset": self.offset, "size": self.size, "blobs": blobs}


class RoomTooSmall(LoaderError):
    """The index is larger than what was left free for it; `needed` is how much it takes."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"the index takes {needed} bytes")
        self.needed = needed


def room_for(members: int, blobs: int) -> int:
    """Bytes that are enough for the index of so much."""
    return _MEMBER_ROOM * (members + 1) + _BLOB_ROOM * blobs


@dataclass(slots=True)
class Packing:
    """A bundle that is being written; memory holds its index and one piece of a member."""

    _descriptor: int
    _room: int
    _members: list[Packed] = field(default_factory=list)
    _blobs: int = 0
    position: int = 0

    def add(self, name: str, content: Window, mode: int = 0o644) -> Packed:
        """Write a member, byte for byte; the blobs of an archive become a part of the index.

        Raises:
            BundleInvalid: the index would not end.
            LoaderError: the content ends before its size.
        """
        self.write(tarball.header(name, content.size, mode))
        offset = self.position
        copied = _Copied(content, self)
        blobs = tuple(_scan(copied, self)) if is_archive(name) else ()
        copied.skip(content.size)
        self.write(tarball.padding(content.size))
        packed = Packed(name, offset, content.size, blobs)
        self._members.append(packed)
        self._blobs += len(blobs)
        if room_for(len(self._members), self._blobs) > _LIMIT:
            raise BundleInvalid(f"no bundle has more than {len(self._members)} members and {self._blobs} blobs")
        return packed

    def link(self, name: str, target: str) -> None:
        """Write a symbolic link."""
        self.write(tarball.link(name, target))

    def write(self, chunk: bytes) -> None:
        """Bytes of the tar itself, or of a member."""
        write_all(self._descriptor, chunk)
        self.position += len(chunk)

    def begin(self) -> None:
        """Leave room for the index."""
        self.write(tarball.header(INDEX_NAME, self._room))
        end = tarball.padded(self._room)
        os.lseek(self._descriptor, end, os.SEEK_CUR)
        self.position += end

    def finish(self) -> None:
        """End the tar, and put the index where room was left.

        Raises:
            RoomTooSmall: it was not enough.
        """
        self.write(tarball.END)
        document = {"version": 1, "members": [each.to_json() for each in self._members]}
        index = json.dumps(document, separators=(",", ":")).encode()
        if len(index) > self._room:
            raise RoomTooSmall(len(index))
        os.lseek(self._descriptor, tarball.BLOCK, os.SEEK_SET)
        write_all(self._descriptor, index + b" " * (self._room - len(index)))


@contextmanager
def packing(out: Path, room: int, size: int) -> Iterator[Packing]:
    """A bundle that appears at `out`, whole, when the block ends well; `size` is about what it takes.

    Raises:
        ExportFailed: the disk is too small or refuses, or another process writes it.
        RoomTooSmall: `room` was.
    """
    with new_file(out, size + room) as descriptor:
        packed = Packing(descriptor, room)
        packed.begin()
        yield packed
        packed.finish()


class ChunkStream(OneWay):
    """Bytes that a generator makes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = memoryview(b"")
        self._failure: Exception | None = None

    def read(self, count: int) -> bytes:
        parts = []
        while count and (self._held or self._refill()):
            parts.append(self._held[:count])
            self._held = self._held[len(parts[-1]) :]
            count -= len(parts[-1])
        return b"".join(parts)

    def _refill(self) -> bool:
        if self._failure is not None:  # whoever reads on after it is not to take it for the end
            raise self._failure
        try:
            chunk = next(filter(None, self._chunks), None)
        except Exception as error:
            self._failure = error
            raise
        self._held = memoryview(chunk or b"")
        return chunk is not None


class _Copied(OneWay):
    """A member that is written while it is read, also what its reader passes over."""

    def __init__(self, content: Window, out: Packing) -> None:
        self._content = content
        self._out = out

    def read(self, count: int) -> bytes:
        chunk = self._content.read(count)
        self._out.write(chunk)
        return chunk


def _scan(copied: _Copied, out: Packing) -> Iterator[BlobPlace]:
    """The blobs of an archive, as far as it is one: what is damaged is copied all the same, for a load to tell."""
    try:
        for entry in read_archive(copied):
            name = entry.name.removeprefix("./")
            if entry.kind is Kind.FILE and is_blob(name):
                yield BlobPlace(blob_digest(name), out.position, entry.content.size)
    except (MemberInvalid, OCIError):
        return
