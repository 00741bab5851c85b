"""Byte ranges of a blob (RFC 9110 section 14; distribution-spec end-2)."""

import re
from dataclasses import dataclass

from registry.oci.errors import RangeNotSatisfiable

# \d would take other alphabets' digits, and int() underscores and spaces.
_SINGLE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)
_DIGITS = 19  # more of them than any blob's size needs


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `first` to `last`, both included, of `size`."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one range that is asked for, or None where the whole blob is the answer.

    Other units, several ranges and text that is no range are ignored, as the RFC allows.

    Raises:
        RangeNotSatisfiable: it begins behind the end, or ends before it begins.
    """
    match = _SINGLE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or max(map(len, match.groups())) > _DIGITS:
        return None
    first, last = match.groups()
    if first:
        return _from(int(first), int(last) if last else size - 1, size)
    return _suffix(int(last), size) if last else None


def _from(first: int, last: int, size: int) -> ByteRange:
    last = min(last, size - 1)
    if first > last:
        raise RangeNotSatisfiable(size)
    return ByteRange(first, last, size)


def _suffix(length: int, size: int) -> ByteRange | None:
    if length == 0:
        raise RangeNotSatisfiable(size)
    return ByteRange(max(0, size - length), size - 1, size) if size else None
