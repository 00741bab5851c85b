"""LMDB keys and rows to and from bytes.

A key is `repository NUL rest`: NUL sorts below every character a name may have, so one
repository's rows lie together and its name is a prefix of no other's rows. Digests are packed
(one algorithm byte, then the raw hash), for a key ends at 511 bytes.
"""

import struct
from typing import Final

from registry.oci.digest import HEX_LENGTH, Digest
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage.misses import Wanted

SEPARATOR: Final = b"\0"

_ALGORITHM_BYTE: Final = {"sha256": b"\x01", "sha512": b"\x02"}
_ALGORITHM: Final = {1: "sha256", 2: "sha512"}

# size, root number, when a client was last told of it (seconds since 1970), xxh3_128
_BLOB: Final = struct.Struct("<QHd16s")
_TIME: Final = struct.Struct("<d")
_NUMBER: Final = struct.Struct(">Q")
LAST_NUMBER: Final = b"\xff" * _NUMBER.size


def pack_digest(digest: Digest) -> bytes:
    """33 bytes for sha256, 65 for sha512."""
    return _ALGORITHM_BYTE[digest.algorithm] + bytes.fromhex(digest.hex)


def unpack_digest(packed: bytes) -> Digest:
    """The digest that `pack_digest` made these bytes of."""
    return Digest(_ALGORITHM[packed[0]], packed[1:].hex())


def packed_length(packed: bytes) -> int:
    """How many of these bytes are the first digest."""
    return 1 + HEX_LENGTH[_ALGORITHM[packed[0]]] // 2


def repository_prefix(name: RepositoryName) -> bytes:
    """What every key of this repository begins with."""
    return name.encode() + SEPARATOR


def tag_key(name: RepositoryName, tag: Tag) -> bytes:
    return name.encode() + SEPARATOR + tag.encode()


def unpack_tag_key(key: bytes) -> Reference:
    """The name that `tag_key` made this of."""
    name, _, tag = key.partition(SEPARATOR)
    return Reference(RepositoryName(name.decode()), Tag(tag.decode()))


def digest_key(name: RepositoryName, digest: Digest) -> bytes:
    return name.encode() + SEPARATOR + pack_digest(digest)


def referrer_key(name: RepositoryName, subject: Digest, referrer: Digest) -> bytes:
    return digest_key(name, subject) + pack_digest(referrer)


def text_key(text: str) -> bytes:
    """For text of any length, such as a path: a key ends at 511 bytes."""
    return pack_digest(Digest.of(text.encode("utf-8", "surrogateescape")))


def journal_key(bundle: str, number: int) -> bytes:
    """Numbers below one bundle sort as they count."""
    return text_key(bundle) + _NUMBER.pack(number)


def journal_prefix(key: bytes) -> bytes:
    """What all keys of this journal begin with."""
    return key[: -_NUMBER.size]


def miss_key(wanted: Wanted) -> bytes:
    """Its three parts together may be longer than a key."""
    return text_key(f"{wanted.upstream or ''}\0{wanted.repository}\0{wanted.reference}")


def pack_revision(media_type: str, time: float) -> bytes:
    """A media type has no NUL; rows of older stores end with it, and are as old as can be."""
    return media_type.encode() + SEPARATOR + _TIME.pack(time)


def unpack_media_type(row: bytes) -> str:
    return row.partition(SEPARATOR)[0].decode()


def unpack_revision(row: bytes) -> tuple[str, float]:
    """Media type, and when the manifest was pushed, or lost a tag."""
    media_type, _, time = row.partition(SEPARATOR)
    return media_type.decode(), _TIME.unpack(time)[0] if time else 0.0


def pack_blob(size: int, root: int, time: float, checksum: bytes) -> bytes:
    return _BLOB.pack(size, root, time, checksum)


def unpack_blob(row: bytes) -> tuple[int, int, float, bytes]:
    """Size in bytes, root number, when a client was last told of it, xxh3_128."""
    return _BLOB.unpack(row)
