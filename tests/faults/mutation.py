"""Damage done to a bundle by chance, the same for the same seed."""

import gzip
import random
from collections.abc import Callable

import zstandard

from bench.archive import TAR_BLOCK
from tests.faults.hostile import ZEROS, base256, header, member, pax

_CHECKSUM, _KIND = slice(148, 156), 156
_KINDS = b"0123456789LKxgSVMX"
_SIZES = (0, 1, 511, 513, 1 << 20, 30 * 10**9, 1 << 45, 1 << 80, -1, -512)


def mutated(body: bytes, seed: str) -> bytes:
    """A plain tar after one to four kinds of damage, packed in one of three ways, which may be damaged in turn."""
    rng = random.Random(seed)
    damaged = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        rng.choice(DAMAGES)(damaged, rng)
    packed = bytearray(rng.choice((bytes, bytes, _gzip, zstandard.compress))(bytes(damaged)))
    if rng.random() < 0.3:
        rng.choice((_flip, _cut, _append))(packed, rng)
    return bytes(packed)


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def _flip(body: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 30))):
        if body:
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)


def _cut(body: bytearray, rng: random.Random) -> None:
    del body[rng.randrange(len(body) + 1) :]


def _append(body: bytearray, rng: random.Random) -> None:
    body += rng.choice((bytes(70_000), rng.randbytes(1000), b"\0", bytes(2_000_000)))


def _lie(body: bytearray, rng: random.Random) -> None:
    """Another size, kind or name in a header, with a right checksum."""
    place = _header(body, rng)
    block = bytearray(body[place : place + TAR_BLOCK])
    if len(block) < TAR_BLOCK:
        return
    size = rng.choice(_SIZES)
    match rng.randrange(3):
        case 0:
            block[124:136] = base256(size) if rng.random() < 0.5 or size < 0 else b"%011o\0" % (size % 8**11)
        case 1:
            block[_KIND] = rng.choice(_KINDS)
        case 2:
            block[:100] = rng.choice(_NAMES).ljust(100, b"\0")
    block[_CHECKSUM] = b" " * 8
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    body[place : place + TAR_BLOCK] = block


def _repeat(body: bytearray, rng: random.Random) -> None:
    """Blocks that come twice: duplicate members, some of them in conflict."""
    place, count = _header(body, rng), rng.randrange(1, 40) * TAR_BLOCK
    body[place:place] = body[place : place + count]


def _drop(body: bytearray, rng: random.Random) -> None:
    place = _header(body, rng)
    del body[place : place + rng.randrange(1, 40) * TAR_BLOCK]


def _swap(body: bytearray, rng: random.Random) -> None:
    one, other, count = _header(body, rng), _header(body, rng), rng.randrange(1, 20) * TAR_BLOCK
    body[one : one + count], body[other : other + count] = body[other : other + count], body[one : one + count]


def _insert(body: bytearray, rng: random.Random) -> None:
    place = _header(body, rng)
    body[place:place] = rng.choice(INSERTED)


def _header(body: bytearray, rng: random.Random) -> int:
    """Where a block begins, rather one that is a header than not."""
    blocks = range(0, max(1, len(body)), TAR_BLOCK)
    headers = [place for place in blocks if body[place + 257 : place + 262] == b"ustar"]
    return rng.choice(headers or blocks)


DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _cut, _append, _lie, _lie, _lie, _repeat, _drop, _swap, _insert, _insert),
)
_NAMES = (
    *(b"index.json", b"manifest.json", b"oci-layout", b"../../k0rdentd-escaped_1.tar", b"/k0rdentd-escaped_1.tar"),
    *(b"a_1.tar", b"blobs/sha256/" + b"0" * 64, b"blobs/sha256/../../x", b"blobs/md5/00", b"", b"\xff\xfe.tar"),
    *(b"layer.tar", b"blobs/sha512/" + b"f" * 80, b"charts/..", b".tar"),
)
INSERTED = (
    pax(b"size", b"30000000000"),
    pax(b"path", b"../k0rdentd-escaped_1.tar"),
    pax(b"GNU.sparse.major", b"1") + pax(b"GNU.sparse.realsize", b"30000000000"),
    pax(b"linkpath", b"/etc/passwd"),
    header("sparse_1.tar", base256(30 * 10**9), b"S"),
    header("holes_1.tar", b"00000000000", b"S"),
    member("index.json", b"{}"),
    member("index.json", b"[" * 100_000),
    member("a_1.tar", gzip.compress(gzip.compress(ZEROS))),
    member("b_1.tar", member("a_1.tar", member("a_1.tar", b""))),
    member("manifest.json", b'[{"Config":"index.json","RepoTags":[],"Layers":["index.json"]}]'),
    b"".join(header(f"m/{number}_1.tar") for number in range(500)),
    bytes(1024),
)
