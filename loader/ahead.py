"""A section of a gzip file unpacked before its turn, while the one before it is not known yet.

A block may refer to the 32 KiB before it. So the head of a section is unpacked twice, as if all of those
were 0 and as if all were 255, until 32 KiB came out that are the same both ways: no byte of them goes
back to what is not known, and neither does any behind them. When the section before is done, the head is
unpacked once more, with what really precedes it. Bytes that are packed already hardly refer to anything:
their heads have 64 KiB.

What lies before a block that was found is unpacked up to that very bit, with a random block put there.
If what that holds does not come out, there is no block there.
"""

from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from loader.deflate import WINDOW, Mark, aligned, before_block
from loader.rawfile import CHUNK
from loader.unpacker import DAMAGE, Item, Trailer, Unpacker

_HELD: Final = 32 * CHUNK  # more than this does not come out of a section ahead of its turn
_HEAD: Final = 64 * 1024
_HEADS: Final = 16
_UNKNOWN: Final = (bytes(WINDOW), b"\xff" * WINDOW)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What came out of a section before its turn, all but its head."""

    head: int
    """Packed bytes of the section up to where its head ends."""
    size: int
    """Bytes that come out of the head."""
    items: tuple[Item, ...]


def unpack_ahead(
    packed: bytes, block: Future[int | None], following: bytes, next_block: Future[int | None]
) -> Ahead | None:
    """All of a section from its block on, up to that of the next one; None if that cannot be done out of turn.

    It waits for what was asked of the same pool before.
    """
    begin, end = block.result(), next_block.result() if following else 0
    if begin is None or end is None:
        return None
    with suppress(*DAMAGE):
        unpacker = Unpacker(_UNKNOWN[0])
        head = _head(unpacker, packed, begin)
        if head is None:
            return None
        items = _limited(unpacker, memoryview(packed)[head[0] :])
        rest: list[Item] | None = []
        if following:
            rest = up_to(unpacker, following, end)
        else:
            unpacker.finish()
        if items is not None and rest is not None:
            return Ahead(*head, (*items, *rest))
    return None


def head_behind(window: bytes, packed: bytes, block: int, ahead: Ahead) -> list[Item] | None:
    """What comes out of the head of a section, now that it is known what precedes it; None if it is not what it was."""
    with suppress(*DAMAGE):
        items = _limited(Unpacker(window), aligned(packed[block // 8 : ahead.head], block % 8))
        if items is not None and sum(len(each) for each in items if isinstance(each, bytes)) == ahead.size:
            return items
    return None


def up_to(unpacker: Unpacker, packed: bytes, block: int) -> list[Item] | None:
    """What comes out up to a block in `packed`; None if none begins there."""
    mark = Mark.random()
    items = _limited(unpacker, before_block(packed, block, mark)) or []
    tail = b""
    while items and len(tail) < len(mark.plain) and isinstance(last := items[-1], bytes):
        tail = last + tail
        del items[-1]
    return [*items, tail.removesuffix(mark.plain)] if tail.endswith(mark.plain) else None


def _head(unpacker: Unpacker, packed: bytes, block: int) -> tuple[int, int] | None:
    """Where the head of a section ends, and how much comes out of it; None if it does not end soon."""
    other = Unpacker(_UNKNOWN[1])
    size, tails = 0, (b"", b"")
    for at in range(block // 8, min(len(packed), _HEADS * _HEAD), _HEAD):
        portion = packed[at : at + _HEAD]
        portion = aligned(portion, block % 8) if at == block // 8 else portion
        made = _limited(unpacker, portion), _limited(other, portion)
        if made[0] is None or made[1] is None:
            return None
        plain = [b"".join(each for each in items if isinstance(each, bytes)) for items in made if items is not None]
        size += len(plain[0])
        tails = (tails[0] + plain[0])[-WINDOW:], (tails[1] + plain[1])[-WINDOW:]
        if any(isinstance(each, Trailer) for each in made[0]) or (len(tails[0]) == WINDOW and tails[0] == tails[1]):
            return at + _HEAD, size
    return None


def _limited(unpacker: Unpacker, packed: bytes | memoryview) -> list[Item] | None:
    """What comes out of these bytes; None if it is too much to be held."""
    items: list[Item] = []
    size = 0
    for item in unpacker.feed(packed):
        items.append(item)
        size += len(item) if isinstance(item, bytes) else 0
        if size > _HELD:
            return None
    return items
