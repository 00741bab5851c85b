"""Whether the index's file is as long as it has to be: LMDB maps it, and to read behind its end is to die by SIGBUS.

LMDB does not write pages that a transaction took and gave back, so a whole file may be shorter than its header says.
What is missing then is on the list of free pages, which is read here without a map.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# lmdb.h and mdb.c of LMDB 0.9: MDB_meta behind a page's header, MDB_page, MDB_node.
_META: Final = struct.Struct("<16xII16xI36xQ48xQQ")
_PAGE: Final = struct.Struct("<10xHH2x")
_NODE: Final = struct.Struct("<HHHH")
_ID: Final = struct.Struct("<Q")
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_EMPTY: Final = 2**64 - 1
_BRANCH: Final = 1
_LEAF: Final = 2
_BIG: Final = 1


@dataclass(frozen=True, slots=True)
class _Meta:
    """What one of the two headers says."""

    page_size: int
    free_root: int
    last_page: int
    transaction: int

    @property
    def end(self) -> int:
        return (self.last_page + 1) * self.page_size


def missing_bytes(path: Path) -> int:
    """How much of the file is lost; 0 where LMDB may open it, be it to refuse it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        meta = _newest(descriptor)
        while meta is not None:
            size = os.fstat(descriptor).st_size
            if size >= meta.end or _is_spare(descriptor, meta, size):
                return 0
            before, meta = meta, _newest(descriptor)
            if meta == before:  # else somebody has changed the index meanwhile
                return meta.end - size
        return 0
    finally:
        os.close(descriptor)


def _newest(descriptor: int) -> _Meta | None:
    """None where there are not two headers: LMDB says so itself."""
    first = _meta(descriptor, 0)
    second = None if first is None else _meta(descriptor, first.page_size)
    return None if first is None or second is None else max(first, second, key=lambda meta: meta.transaction)


def _meta(descriptor: int, place: int) -> _Meta | None:
    head = os.pread(descriptor, _META.size, place)
    if len(head) < _META.size:
        return None
    magic, version, *fields = _META.unpack(head)
    return _Meta(*fields) if (magic, version) == (_MAGIC, _VERSION) else None


def _is_spare(descriptor: int, meta: _Meta, size: int) -> bool:
    """Whether all that lies behind the end of the file is free."""
    missing = set(range(size // meta.page_size, meta.last_page + 1))
    try:
        for page in _free(descriptor, meta, meta.free_root):
            missing.discard(page)
    except (struct.error, ValueError):  # the list itself is cut
        return False
    return not missing


def _free(descriptor: int, meta: _Meta, number: int) -> Iterator[int]:
    """The free pages that the tree below a page lists."""
    if number == _EMPTY:
        return
    page = os.pread(descriptor, meta.page_size, number * meta.page_size)
    flags, lower = _PAGE.unpack_from(page)
    if not flags & (_BRANCH | _LEAF):
        raise ValueError(number)
    for (place,) in struct.iter_unpack("<H", page[_PAGE.size : lower]):
        low, high, kind, key_size = _NODE.unpack_from(page, place)
        if flags & _BRANCH:
            yield from _free(descriptor, meta, low | high << 16 | kind << 32)
            continue
        start = place + _NODE.size + key_size
        row = page[start : start + (low | high << 16)]
        if kind & _BIG:
            (far,) = _ID.unpack_from(page, start)
            row = os.pread(descriptor, low | high << 16, far * meta.page_size + _PAGE.size)
        count, *pages = (each for (each,) in _ID.iter_unpack(row))
        if count != len(pages):
            raise ValueError(number)
        yield from pages
