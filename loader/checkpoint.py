"""Going on in the middle of a gzip file: where a block of DEFLATE begins, found again from bytes that were kept.

A decompressor tells nobody where it stands, so a load keeps what came out of it now and then, and
where in the file that was read. Whoever goes on looks there for the beginning of a block (RFC 1951)
that gives exactly the kept bytes: another file, or a damaged one, has none.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from isal import igzip_lib

KEPT: Final = 320 * 1024  # several blocks of any usual compressor, and the window before the first
WINDOW: Final = 32 * 1024
_PROOF: Final = 4 * 1024  # bytes that a block found must give
_TRIAL: Final = 64 * 1024
_PROBE: Final = 32
_STORED: Final = 65535
_REFUSALS: tuple[type[Exception], ...] = (igzip_lib.IsalError,)  # type: ignore[assignment]  # its stub calls a class a value

# RFC 1951 section 3.2.7: a code of code lengths is complete if its lengths add up to this, each as 2^(7 - length).
_COMPLETE: Final = 128
_WEIGHT: Final = tuple(sum(128 >> n for n in (v & 7, v >> 3 & 7, v >> 6 & 7, v >> 9) if n) for v in range(4096))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What came out when the file had been read up to `packed`: `plain` ends at byte `offset` of the output.

    `sha256` is of the file up to `packed`, where somebody took it: nothing else binds what was made of those bytes
    to those that are there now.
    """

    packed: int
    offset: int
    plain: bytes
    sha256: str = ""

    def to_json(self) -> dict[str, object]:
        """For the index."""
        plain = base64.b64encode(self.plain).decode()
        return {"packed": self.packed, "offset": self.offset, "plain": plain, "sha256": self.sha256}

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Self:
        """What `to_json` made this of."""
        plain = base64.b64decode(str(document["plain"]))
        return cls(int(str(document["packed"])), int(str(document["offset"])), plain, str(document["sha256"]))


@dataclass(frozen=True, slots=True)
class Block:
    """A place to begin: bit `bit` of the bytes that were searched gives `plain` from `at` on."""

    bit: int
    at: int


def find_block(packed: bytes, plain: bytes) -> Block | None:
    """Where a block begins in `packed` that gives a part of `plain`, whose end came out with the end of `packed`."""
    for bit in _candidates(packed, plain):
        at = _place(packed, plain, bit)
        if at is not None:
            return Block(bit, at)
    return None


def decompressor(window: bytes) -> "igzip_lib.IgzipDecompressor":
    """One that begins at a block, with these bytes before it."""
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE, zdict=window)


def aligned(packed: bytes, bit: int) -> bytes:
    """The bits of `packed` from `bit` on as a stream of whole bytes: empty blocks fill up what is before them."""
    first, shift = divmod(bit, 8)
    filler, length = _FILLERS[shift]
    head = filler | packed[first] >> shift << length
    return head.to_bytes((length - shift) // 8 + 1, "little") + packed[first + 1 :]


def _candidates(packed: bytes, plain: bytes) -> Iterator[int]:
    """Ends of stored blocks, which incompressible bytes are full of; then what looks like a dynamic block's header."""
    yield from _stored_ends(packed, plain)
    bits = int.from_bytes(packed, "little")
    # 3 bits of BFINAL 0 and BTYPE 10; HLIT and HDIST of 30 and more do not exist.
    headers = ~bits & ~(bits >> 1) & bits >> 2
    headers &= ~(bits >> 4 & bits >> 5 & bits >> 6 & bits >> 7) & ~(bits >> 9 & bits >> 10 & bits >> 11 & bits >> 12)
    marks = (headers & (1 << len(packed) * 8) - 1).to_bytes(len(packed), "little")
    for first, mark in enumerate(marks[:-_PROOF]):
        if mark:
            near = int.from_bytes(packed[first : first + 11], "little")
            for shift in range(8):
                if mark >> shift & 1 and _is_complete(near >> shift + 13):
                    yield first * 8 + shift


def _is_complete(fields: int) -> bool:
    """HCLEN and what follows it: whether the code of code lengths has no gap."""
    lengths = fields >> 4 & (1 << ((fields & 15) + 4) * 3) - 1
    weight = 0
    while lengths:
        weight += _WEIGHT[lengths & 4095]
        lengths >>= 12
    return weight == _COMPLETE


def _stored_ends(packed: bytes, plain: bytes) -> Iterator[int]:
    """A run of bytes that is the same packed and not lies in a stored block: LEN and NLEN stand before it."""
    for probe in range(WINDOW, len(plain) - _PROBE, _PROBE * 1024):
        at = packed.find(plain[probe : probe + _PROBE])
        run = _common(packed[max(0, at - _STORED) : at], plain[max(0, probe - _STORED) : probe]) if at >= 0 else 0
        for start in range(at - run, min(at - run + 4, at + 1)):
            length, check = (int.from_bytes(packed[max(0, start - n) : start - n + 2], "little") for n in (4, 2))
            end = start + length
            if start >= 4 and length ^ check == 0xFFFF and at < end < len(packed) - _PROOF:
                yield end * 8


def _common(left: bytes, right: bytes) -> int:
    """How many bytes at their ends are the same."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if left[-middle:] == right[-middle:] else (low, middle - 1)
    return low


def _place(packed: bytes, plain: bytes, bit: int) -> int | None:
    """Where in `plain` the block at `bit` begins; None if it is none."""
    blind = _inflate(packed, bit, bytes(WINDOW))
    for probe in range(0, len(blind) - _PROBE, _PROBE * 32):
        found = plain.find(blind[probe : probe + _PROBE])
        at = found - probe
        if found >= 0 and at >= WINDOW and _gives(packed, bit, plain, at):
            return at
    return None


def _gives(packed: bytes, bit: int, plain: bytes, at: int) -> bool:
    made = _inflate(packed, bit, plain[at - WINDOW : at])
    return len(made) >= _PROOF and plain[at : at + len(made)] == made[: len(plain) - at] and len(plain) - at >= _PROOF


def _inflate(packed: bytes, bit: int, window: bytes) -> bytes:
    try:
        return decompressor(window).decompress(aligned(packed[: bit // 8 + _TRIAL], bit), _TRIAL)
    except _REFUSALS:
        return b""


def _bits(*fields: tuple[int, int]) -> tuple[int, int]:
    """Values with their widths, the first one lowest, as one value and its width."""
    value = width = 0
    for field, size in fields:
        value, width = value | field << width, width + size
    return value, width


# RFC 1951 section 3.2.6: an empty block of fixed codes has 10 bits, an even number.
_EVEN: Final = ((0b010, 3), (0, 7))
# Section 3.2.7, 91 bits: codes of one bit for literal 0, the end of the block, and one distance.
# The lengths of the 19 code lengths come in an order in which 18 is the third and 1 the eighteenth.
_ODD: Final = (
    *((0b100, 3), (0, 5), (0, 5), (14, 4), (0, 6), (1, 3), (0, 42), (1, 3)),
    *((0, 1), (1, 1), (127, 7), (1, 1), (106, 7), (0, 1), (0, 1), (1, 1)),
)
_FILLERS: Final = tuple(
    _bits(*(_EVEN * (shift // 2))) if shift % 2 == 0 else _bits(*_ODD, *(_EVEN * ((shift - 3) % 8 // 2)))
    for shift in range(8)
)
