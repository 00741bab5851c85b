"""Reading a tar front to back: one entry after the other, nothing kept, nothing written to disk.

POSIX.1-2017 pax interchange format, ustar, and GNU's long names. The header block itself is
parsed by the standard library; the walk is ours, for it has to know where an entry's bytes lie.
"""

import enum
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from loader.errors import HeaderTooLarge, LoaderError, MemberInvalid, NoArchive
from loader.stream import ByteStream, Window
from registry.units import human

PADDING: Final = 1024 * 1024
"""Behind its end a tar has less than this: it fills its last record up, of 10 KiB by habit, of 1 MiB on large tapes."""

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_DIGITS = 19  # more of them than any size needs
_PAX_LIMIT = 1024 * 1024  # names and attributes of one entry
_PAX_LENGTH = re.compile(rb"([0-9]{1,7}) ")
_LARGEST = 1 << 50


class Kind(enum.Enum):
    """What an entry is, as far as a bundle is concerned."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    SPARSE = "sparse file, which is not taken: pack it anew without tar's --sparse"
    OTHER = "device or other special file"


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a tar; `content` is to be read before the next entry is asked for."""

    name: str
    kind: Kind
    target: str
    """Where a link points, seen from the folder in which it is; empty otherwise."""
    content: Window
    mode: int = 0o644
    offset: int = 0
    """Where in the tar its content begins."""

    @property
    def end(self) -> int:
        """Where in the tar the next entry begins."""
        return self.offset + self.content.size + -self.content.size % _BLOCK


def read_entries(
    stream: ByteStream, truncated: LoaderError, *, end_marked: bool = False, start: int = 0
) -> Iterator[Entry]:
    """The entries in their order; what the consumer leaves of one is passed over.

    `start` is how much of the tar has gone by before. With `end_marked` the two blocks of zeros at the end
    must be there; some writers leave them out.

    Raises:
        NoArchive: it does not begin with a tar header.
        MemberInvalid: a later header is none.
        LoaderError: `truncated`, where the stream ends in the middle of an entry.
    """
    overrides: dict[str, str] = {}
    offset = start
    while (block := _read_block(stream, truncated, end_marked=end_marked, is_first=offset == 0)) is not None:
        header = _header(block, is_first=offset == 0)
        offset += _BLOCK
        if header.type == tarfile.GNUTYPE_SPARSE:
            offset += _skip_map(block, stream, truncated)
        content = Window(stream, _size(header, overrides), truncated)
        padding = -content.size % _BLOCK
        if header.type in _EXTENSIONS:
            overrides |= _read_extension(header, content)
        elif header.type != tarfile.XGLTYPE:
            yield _entry(header, content, overrides, offset)
            overrides = {}
        offset += content.size + padding
        content.drain()
        if stream.skip(padding) < padding:
            raise truncated


_EXTENSIONS = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.LINK,
    tarfile.GNUTYPE_SPARSE: Kind.SPARSE,
}
# GNU tar manual, "Basic Tar Format": whether more of a sparse file's map follows its header, and a block of it.
_IS_EXTENDED, _IS_EXTENDED_AGAIN = 482, 504


def _read_block(stream: ByteStream, truncated: LoaderError, *, end_marked: bool, is_first: bool) -> bytes | None:
    """A header's; None at the end."""
    block = stream.read(_BLOCK)
    if block == _ZEROS:
        if end_marked and stream.read(_BLOCK) != _ZEROS:
            raise truncated
        return None
    if not block and not end_marked:
        return None
    if len(block) < _BLOCK:
        raise NoArchive(f"not a tar archive: it has {len(block)} bytes") if is_first else truncated
    return block


def _header(block: bytes, *, is_first: bool) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        if is_first:
            raise NoArchive(f"not a tar archive, or a damaged one ({error})") from error
        raise MemberInvalid(f"damaged, with no tar header where one must be ({error})") from error


def _skip_map(header: bytes, stream: ByteStream, truncated: LoaderError) -> int:
    """How many bytes stand between the header of a sparse file and what is not holes of it."""
    size, is_extended = 0, header[_IS_EXTENDED]
    while is_extended:
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise truncated
        size, is_extended = size + _BLOCK, block[_IS_EXTENDED_AGAIN]
    return size


def _size(header: tarfile.TarInfo, overrides: Mapping[str, str]) -> int:
    """How many bytes follow; a link has none, whatever its header says (POSIX, "ustar Interchange Format")."""
    if header.type in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE):
        return 0
    text = overrides.get("size")
    size = (
        header.size if text is None else int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else -1
    )
    if not 0 <= size <= _LARGEST:
        raise MemberInvalid(f"{header.name!r} says that it has {(text or str(size))[:40]} bytes")
    return size


def _entry(header: tarfile.TarInfo, content: Window, overrides: Mapping[str, str], offset: int) -> Entry:
    is_sparse = any(key.startswith("GNU.sparse.") for key in overrides)  # a file's bytes are not its content then
    name = overrides.get("GNU.sparse.name", overrides.get("path", header.name))
    target = overrides.get("linkpath", header.linkname)
    if header.type == tarfile.LNKTYPE:  # a hard link's is seen from the root of the tar
        target = posixpath.relpath(f"/{target}", f"/{posixpath.dirname(name)}")
    return Entry(
        name=name,
        kind=Kind.SPARSE if is_sparse else _KINDS.get(header.type, Kind.OTHER),
        target=target,
        content=content,
        mode=header.mode & 0o777,
        offset=offset,
    )


def _read_extension(header: tarfile.TarInfo, content: Window) -> dict[str, str]:
    if content.size > _PAX_LIMIT:
        raise HeaderTooLarge(
            f"the attributes of an entry (tar's pax header) take {human(content.size)}, and {human(_PAX_LIMIT)} are "
            "read at most: pack it anew without them (GNU tar's --no-xattrs --no-acls)"
        )
    text = content.read(content.size)
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _text(text.split(b"\0")[0])}
    if header.type == tarfile.GNUTYPE_LONGLINK:
        return {"linkpath": _text(text.split(b"\0")[0])}
    return _parse_pax(text)


def _parse_pax(records: bytes) -> dict[str, str]:
    """Records of the form `<length> <key>=<value>` and a line break, the length counting all of it."""
    attributes = {}
    at = 0
    while at < len(records):
        length = _PAX_LENGTH.match(records, at)
        end = at + int(length[1]) if length else 0
        key, equals, value = records[length.end() if length else 0 : end].partition(b"=")
        if not equals or end > len(records) or not value.endswith(b"\n"):
            raise MemberInvalid("the pax attributes of an entry are damaged")
        attributes[_text(key)] = _text(value[:-1])
        at = end
    return attributes


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
