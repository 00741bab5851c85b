"""Where blocks of DEFLATE (RFC 1951) begin in bytes from the middle of a stream, and how to begin and end there.

Nothing marks a block, and it may begin at any bit. A stored one tells its length twice; a dynamic one
begins with a code that must have no gap. What passes for one of them is tried: bytes that only look
like a block give nothing to speak of. A chance that is left shows at the seam: whoever unpacks what
lies before the block, and then a mark that nobody can foresee, gets what the mark holds where a block
begins, and nowhere else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from random import SystemRandom
from typing import Final, Self

from isal import igzip_lib

WINDOW: Final = 32 * 1024
"""How far back a block may refer, section 2."""
DAMAGE: tuple[type[Exception], ...] = (igzip_lib.IsalError,)  # type: ignore[assignment]  # its stub calls a class a value

_NEAR: Final = 96 * 1024  # a stored block has 64 KiB at most
_FAR: Final = 256 * 1024
_STEP: Final = 8 * 1024  # searched at once for dynamic blocks: most packers begin one within two of them
_STORED_TRIES, _DYNAMIC_TRIES = 64, 1000  # a file can be made of what only looks like blocks
_HEADER: Final = 16  # bytes of a dynamic block's header that are looked at, and some
_TRIAL: Final = 128 * 1024
_MARKED: Final = 16
_RANDOM: Final = SystemRandom()


def find_block(packed: bytes) -> int | None:
    """The first bit of `packed` at which a block begins, as far as can be told from here; None if it is not near.

    Stored blocks are looked for first. What they hold may be compressed itself, and then is full of
    blocks, too, that are none of this stream.
    """
    stored = islice(_stored_ends(packed[:_NEAR]), _STORED_TRIES)
    candidates = chain(stored, islice(_dynamic(packed[:_FAR]), _DYNAMIC_TRIES))
    return next((bit for bit in candidates if _is_block(packed, bit)), None)


def decompressor(window: bytes) -> "igzip_lib.IgzipDecompressor":
    """One that begins at a block, with these bytes before it."""
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE, zdict=window)


def aligned(packed: bytes, bit: int) -> bytes:
    """The bits of `packed` from `bit` on as a stream of whole bytes: empty blocks fill up what is before them."""
    first, shift = divmod(bit, 8)
    filler, length = _FILLERS[shift]
    head = filler | packed[first] >> shift << length
    return head.to_bytes((length - shift) // 8 + 1, "little") + packed[first + 1 :]


@dataclass(frozen=True, slots=True)
class Mark:
    """A block whose code nobody can foresee, and what it holds: only who reads it as a block gets that."""

    bits: int
    size: int
    """Of `bits`."""
    plain: bytes

    @classmethod
    def random(cls) -> Self:
        """A dynamic block, section 3.2.7: 127 literals of 256 and the end of the block have codes of 7 bits."""
        literals = sorted(_RANDOM.sample(range(256), 127))
        chosen = [_RANDOM.randrange(127) for _ in range(_MARKED)]
        lengths = sum(1 << literal for literal in literals) | 1 << 256  # of 257 symbols and one distance; 0 is "none"
        codes = [(int(f"{code:07b}"[::-1], 2), 7) for code in (*chosen, 127)]  # most significant bit first
        # HLIT 257, HDIST 1, HCLEN 6; of the code lengths 16, 17, 18, 0, 8 and 7 only 0 and 7 exist, with a bit each.
        header = ((0b100, 3), (0, 5), (0, 5), (2, 4), *((length, 3) for length in (0, 0, 0, 1, 0, 1)))
        return cls(*_bits(*header, (lengths, 258), *codes), bytes(literals[code] for code in chosen))


def before_block(packed: bytes, bit: int, mark: Mark) -> bytes:
    """The bits of `packed` before `bit`, at which a block begins, and then `mark`."""
    whole, shift = divmod(bit, 8)
    rest = packed[whole] & (1 << shift) - 1 if shift else 0
    return packed[:whole] + (rest | mark.bits << shift).to_bytes((shift + mark.size + 7) // 8, "little")


def _is_block(packed: bytes, bit: int) -> bool:
    """Whether what begins there can be unpacked for a while: a place that is none gives little before it fails."""
    begin, shift = divmod(bit, 8)
    trial = packed[begin : begin + _TRIAL]
    if not trial:
        return False
    try:
        return len(decompressor(bytes(WINDOW)).decompress(aligned(trial, shift), _TRIAL)) > len(trial) // 2
    except DAMAGE:
        return False


def _stored_ends(packed: bytes) -> Iterator[int]:
    """Where stored blocks end, section 3.2.4: LEN, and NLEN that has every bit the other way round."""
    bits = int.from_bytes(packed, "little")
    same = bits ^ bits >> 16
    for shift in (1, 2, 4, 8):
        same &= same >> shift
    marks = (same & int.from_bytes(b"\1" * len(packed), "little")).to_bytes(len(packed), "little")
    at = marks.find(1)
    while at >= 0:
        yield (at + 4 + int.from_bytes(packed[at : at + 2], "little")) * 8
        at = marks.find(1, at + 1)


def _dynamic(packed: bytes) -> Iterator[int]:
    """Where a dynamic block may begin, section 3.2.7."""
    for begin in range(0, len(packed) - _HEADER, _STEP):
        found = _dynamic_in(packed[begin : begin + _STEP + _HEADER])
        while found:
            lowest = found & -found
            yield begin * 8 + lowest.bit_length() - 1
            found ^= lowest


def _dynamic_in(packed: bytes) -> int:
    """The places as bits: each bit of these integers stands for one, so that a step is taken for all at once."""
    bits = int.from_bytes(packed, "little")
    ahead = [bits >> place for place in range(17 + 19 * 3)]
    # 3 bits of BFINAL 0 and BTYPE 10; HLIT and HDIST of 30 and more do not exist.
    found = ~ahead[0] & ~ahead[1] & ahead[2]
    found &= ~(ahead[4] & ahead[5] & ahead[6] & ahead[7]) & ~(ahead[9] & ahead[10] & ahead[11] & ahead[12])
    return found & _complete(ahead) & (1 << max(0, len(packed) - _HEADER) * 8) - 1


def _complete(ahead: list[int]) -> int:
    """The places where the code of code lengths has no gap: where 2^(7 - length), added up, is 128."""
    total = [0] * 7  # binary digits, the lowest first
    full = over = 0
    for number in range(19):
        low, middle, high = ahead[17 + 3 * number : 20 + 3 * number]
        if number >= 4:
            given = _at_least(ahead[13:17], number - 3)
            low, middle, high = low & given, middle & given, high & given
        carry = 0
        for digit, one in enumerate(_weights(low, middle, high)):
            before = total[digit]
            half = before ^ one
            total[digit] = half ^ carry
            carry = before & one | half & carry
        over |= full & carry
        full |= carry
    for digit in total:
        over |= digit
    return full & ~over


def _weights(low: int, middle: int, high: int) -> tuple[int, ...]:
    """The digits of 2^(7 - length), the lowest first, and of 0 for the length 0."""
    return (
        high & middle & low,
        high & middle & ~low,
        high & ~middle & low,
        high & ~middle & ~low,
        ~high & middle & low,
        ~high & middle & ~low,
        ~high & ~middle & low,
    )


def _at_least(digits: list[int], value: int) -> int:
    """The places where a number of these digits, the lowest first, is at least `value`."""
    reached = -1
    for place, digit in enumerate(digits):
        reached = digit & reached if value >> place & 1 else digit | reached
    return reached


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
