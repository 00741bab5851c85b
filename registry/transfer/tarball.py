"""What stands between the files of a tar; the same files are the same bytes, for it knows no clock and no owner."""

import tarfile

BLOCK = 512
END = bytes(2 * BLOCK)


def header(name: str, size: int, mode: int = 0o644) -> bytes:
    """What stands in front of a file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode
    return _pack(member)


def link(name: str, target: str) -> bytes:
    """A symbolic link; nothing follows it."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
    return _pack(member)


def padding(size: int) -> bytes:
    """What fills up the last block of a file."""
    return bytes(-size % BLOCK)


def padded(size: int) -> int:
    """The bytes of a file with those that fill it up."""
    return size + -size % BLOCK


def _pack(member: tarfile.TarInfo) -> bytes:
    # GNU: sizes beyond 8 GiB, names beyond 100 bytes, and names in any encoding as they are
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
