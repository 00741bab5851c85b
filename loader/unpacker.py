"""The members of a gzip file (RFC 1952), one behind the other; zeros may follow them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import BadGzipFile
from typing import Final

from isal import igzip_lib, isal_zlib

from loader import deflate
from loader.deflate import decompressor
from loader.rawfile import CHUNK, GZIP_MAGIC

DAMAGE: tuple[type[Exception], ...] = (*deflate.DAMAGE, BadGzipFile, EOFError)
"""What there is of it in a gzip file."""

_PORTION: Final = 16 * 1024
_LIMIT: Final = 2 * CHUNK  # what is unpacked in one step: a bomb comes in pieces, too
_HEADER: Final = 10
_HEADER_LIMIT: Final = 256 * 1024  # with a name, a comment, and a field of 64 KiB
_DEFLATE: Final = 8
_TRAILER: Final = struct.Struct("<II")
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16  # section 2.3.1


@dataclass(frozen=True, slots=True)
class Trailer:
    """What stands behind a member: the CRC-32 of what it holds, and the size of it modulo 2^32."""

    crc32: int
    size: int


Item = bytes | Trailer


class Unpacker:
    """Takes packed bytes in any portions, and gives out what they hold.

    It begins before a member, or with a `window` at a block in the middle of one, which comes in whole bytes.

    Raises:
        BadGzipFile, igzip_lib.IsalError: while it is fed something that is not gzip.
    """

    def __init__(self, window: bytes | None = None) -> None:
        self._inflater = None if window is None else decompressor(window)
        self._is_begun = window is not None
        self._needs_trailer = False
        self._held = b""

    def feed(self, packed: bytes | memoryview) -> Iterator[Item]:
        """What comes out by these bytes, in pieces of 2 MiB at most.

        They are taken in small portions where members are small: what is left of one is copied at each member's end.
        """
        left, portion = memoryview(packed), _PORTION
        while left:
            has_ended = False
            for item in self._take(left[:portion]):
                has_ended = has_ended or isinstance(item, Trailer)
                yield item
            left, portion = left[portion:], _PORTION if has_ended else min(2 * portion, CHUNK)

    def finish(self) -> None:
        """There is no more to feed.

        Raises:
            EOFError: a member has not ended, or there was none.
        """
        if self._inflater is not None or self._needs_trailer or self._held or not self._is_begun:
            raise EOFError("it ends before its end-of-stream marker")

    def _take(self, packed: memoryview) -> Iterator[Item]:
        rest: bytes | memoryview = packed if self._inflater else self._held + bytes(packed)
        self._held = b""
        while rest:
            if self._inflater is not None:
                yield from self._inflate(self._inflater, rest)
                rest = self._leave() if self._inflater.eof else b""
            elif self._needs_trailer:
                if len(rest) < _TRAILER.size:
                    break
                self._needs_trailer = False
                yield Trailer(*_TRAILER.unpack_from(rest))
                rest = rest[_TRAILER.size :]
            else:
                rest = bytes(rest).lstrip(b"\0") if self._is_begun else bytes(rest)
                size = _header_size(rest)
                if size is None:
                    break
                self._inflater, self._is_begun = decompressor(b""), True
                rest = rest[size:]
        self._held = bytes(rest)

    def _inflate(self, inflater: "igzip_lib.IgzipDecompressor", packed: bytes | memoryview) -> Iterator[bytes]:
        plain = inflater.decompress(packed, _LIMIT)
        while plain:
            yield plain
            plain = b"" if inflater.eof or inflater.needs_input else inflater.decompress(b"", _LIMIT)

    def _leave(self) -> bytes:
        assert self._inflater is not None
        rest = self._inflater.unused_data
        self._inflater, self._needs_trailer = None, True
        return rest


def _header_size(packed: bytes) -> int | None:
    """How long the header at the beginning is; None if more has to come to tell.

    Raises:
        BadGzipFile: there is none, or it does not match its checksum.
    """
    if not GZIP_MAGIC.startswith(packed[:2]) or packed[2:3] not in (b"", bytes((_DEFLATE,))):
        raise BadGzipFile("something that is not gzip stands where a member was to begin")
    flags, at = int.from_bytes(packed[3:4]), _HEADER
    if flags & _FEXTRA:
        at += 2 + int.from_bytes(packed[at : at + 2], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            at = packed.find(b"\0", at) + 1 or len(packed) + 1
    end = at + (2 if flags & _FHCRC else 0)
    if end <= len(packed):
        if end > at and int.from_bytes(packed[at:end], "little") != isal_zlib.crc32(packed[:at]) & 0xFFFF:
            raise BadGzipFile("the header of a member does not match its checksum")
        return end
    if len(packed) > _HEADER_LIMIT:
        raise BadGzipFile("the header of a member does not end")
    return None
