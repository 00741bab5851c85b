"""A gzip file unpacked by all cores: in sections, each from the first block that is found in it.

A block may refer to the 32 KiB before it, and those are not known yet where a section is begun in its
middle. So its head is unpacked twice, as if all of those were 0 and as if all were 255, until 32 KiB
came out that are the same both ways: no byte of them goes back to what is not known, and neither does
any behind them. When the section before is done, the head is unpacked once more, with what really
precedes it. Bytes that are packed already hardly refer to anything: their heads have 64 KiB.

What lies before a block that was found is unpacked up to that very bit, with a random block put there.
If what that holds does not come out, there is no block there: the section is unpacked anew behind the
one before it, as is a section without a block, and one whose head does not end.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from gzip import BadGzipFile
from itertools import chain
from typing import Any, Final

from isal import isal_zlib

from loader.checkpoint import PROOF, Checkpoint, whole_mib
from loader.deflate import DAMAGE, WINDOW, Mark, aligned, before_block, find_block
from loader.rawfile import CHUNK, RawFile
from loader.unpacker import Item, Trailer, Unpacker

SECTION: Final = 8 * CHUNK  # packed
INTERVAL: Final = 64 * CHUNK  # of output, between two checkpoints
_REMEMBERED: Final = 16  # checkpoints that nobody has asked for yet
_HELD: Final = 4 * SECTION  # more than this does not come out of a section ahead of its turn
_PORTION: Final = 16 * 1024
_HEAD: Final = 64 * 1024
_HEADS: Final = 16
_UNKNOWN: Final = (bytes(WINDOW), b"\xff" * WINDOW)
_RETRACED: Final = 4  # sections that are kept for the case that a block in the next one is none


_DAMAGE: tuple[type[Exception], ...] = (*DAMAGE, BadGzipFile, EOFError)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What came out of a section before its turn, all but its head."""

    head: int
    """Packed bytes of the section up to where its head ends."""
    size: int
    """Bytes that come out of the head."""
    items: tuple[Item, ...]


@dataclass(slots=True)
class Section:
    """A part of the file, what is known of it, and what is made of it meanwhile."""

    offset: int
    packed: bytes
    block: Future[int | None]
    """The bit at which its first block begins."""
    ahead: Future[Ahead | None]


class Inflation:
    """The way through one file; `checkpoints` are what it passed, the newest last."""

    def __init__(self, file: RawFile, start: Checkpoint | None, threads: int) -> None:
        self._file = file
        self._start = start
        self._threads = threads
        self.checkpoints: deque[Checkpoint] = deque(maxlen=_REMEMBERED)
        self._offset = self._noted = start.offset if start else 0
        self._window = start.window if start else b""
        self._sum = Sum(is_known=start is None)
        self._place: int | None = None

    def plain(self) -> Generator[bytes, None, None]:
        """What the file holds, in order; to be closed.

        Raises:
            EOFError, OSError, igzip_lib.IsalError: it is damaged, or ends early. What came before it was given.
        """
        if self._start is not None:
            self._file.seek(self._start.begin)
        with _pool(self._threads) as pool:
            for item in self._items(pool):
                self._sum.add(item)
                if isinstance(item, Trailer):
                    self._window = b""
                elif item:
                    self._pass(item)
                    yield item

    def _items(self, pool: ThreadPoolExecutor) -> Iterator[Item]:
        """Section by section: what was made ahead, where that goes on from what is known, or else in one line."""
        line = Line(None) if self._start is None else None
        for section in self._sections(pool):
            block = section.block.result()
            if line is not None and block is not None:
                end = line.ended(section.packed, block)
                yield from end or ()
                line = None if end is not None else line
            if line is not None or block is None:
                assert line is not None, "a block was found, or the line goes on"
                yield from line.feed(section.packed)
                continue
            self._remember(section, block)
            ahead = section.ahead.result()
            head = None if ahead is None else _head_behind(self._window, section.packed, block, ahead)
            if ahead is None or head is None:
                line = Line(self._window)
                yield from line.feed(aligned(section.packed, block))
            else:
                yield from chain(head, ahead.items)
        if line is not None:
            line.finish()

    def _sections(self, pool: ThreadPoolExecutor) -> Iterator[Section]:
        """Those that are read ahead are begun meanwhile."""
        queue: deque[Section] = deque()
        is_over = False
        while queue or not is_over:
            while not is_over and len(queue) < self._threads + 2:
                offset, packed = self._file.position, self._read()
                is_over = not packed
                block = self._block(pool, offset, packed)
                if queue and self._threads > 1:
                    last = queue[-1]
                    last.ahead = pool.submit(_unpack_ahead, last, packed, block)
                if packed:
                    queue.append(Section(offset, packed, block, _known(None)))
            if queue:
                yield queue.popleft()

    def _block(self, pool: ThreadPoolExecutor, offset: int, packed: bytes) -> Future[int | None]:
        if self._start is not None and offset == self._start.begin:
            return _known(self._start.bit % 8)
        return pool.submit(find_block, packed) if packed and offset else _known(None)

    def _read(self) -> bytes:
        """A section, in whole MiB of the file: that is what its digest is noted for."""
        parts: list[bytes] = []
        left = SECTION - self._file.position % CHUNK
        while left and (part := self._file.read(min(left, CHUNK - self._file.position % CHUNK))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _remember(self, section: Section, block: int) -> None:
        """Unless it lies in the file's last bytes that are no whole MiB, and have no digest."""
        bit = section.offset * 8 + block
        if self._offset - self._noted >= INTERVAL and whole_mib(bit) <= section.offset + len(section.packed):
            self._place = bit

    def _pass(self, plain: bytes) -> None:
        if self._place is not None and len(plain) >= PROOF:
            self.checkpoints.append(Checkpoint(self._place, self._offset, self._window, plain[:PROOF]))
            self._noted = self._offset
        self._place = None
        self._offset += len(plain)
        self._window = (plain if len(plain) >= WINDOW else self._window + plain)[-WINDOW:]


class Line:
    """Unpacks from a member's beginning, or behind a window, up to a block that is told later."""

    def __init__(self, window: bytes | None) -> None:
        self._window = window
        self._unpacker = Unpacker(window)
        self._fed: list[bytes] = []

    def feed(self, packed: bytes) -> Iterator[Item]:
        """What comes out of the next bytes."""
        if len(self._fed) <= _RETRACED:
            self._fed.append(packed)
        yield from _unpack(self._unpacker, packed)

    def ended(self, packed: bytes, block: int) -> list[Item] | None:
        """What comes out up to the block in `packed`; None if there is none, and `packed` is to be fed."""
        if len(self._fed) > _RETRACED:
            return None
        with suppress(*_DAMAGE):
            items = _up_to(self._unpacker, packed, block)
            if items is not None:
                return items
        self._unpacker = Unpacker(self._window)
        for each in self._fed:
            deque(_unpack(self._unpacker, each), maxlen=0)
        return None

    def finish(self) -> None:
        """There is no more to feed.

        Raises:
            EOFError: a member has not ended, or there was none.
        """
        self._unpacker.finish()


class Sum:
    """Adds up what members hold, and compares it with what they end with."""

    def __init__(self, *, is_known: bool) -> None:
        self._is_known = is_known
        self._crc32 = self._size = 0

    def add(self, item: Item) -> None:
        """Take what comes next.

        Raises:
            BadGzipFile: a member held something else.
        """
        if isinstance(item, bytes):
            self._crc32 = isal_zlib.crc32(item, self._crc32)
            self._size += len(item)
            return
        if self._is_known and item != Trailer(self._crc32, self._size & 0xFFFFFFFF):
            raise BadGzipFile("what it holds does not match its checksum")
        self._is_known, self._crc32, self._size = True, 0, 0


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, "inflate")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _known(value: int | None) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _unpack_ahead(section: Section, following: bytes, next_block: Future[int | None]) -> Ahead | None:
    """All of a section from its block on, up to that of the next one; None if that cannot be done out of turn.

    It waits for what was asked of the same pool before.
    """
    begin, end = section.block.result(), next_block.result() if following else 0
    if begin is None or end is None:
        return None
    with suppress(*_DAMAGE):
        unpacker = Unpacker(_UNKNOWN[0])
        head = _head(unpacker, section.packed, begin)
        if head is None:
            return None
        items = _limited(unpacker, section.packed[head[0] :])
        rest: list[Item] | None = []
        if following:
            rest = _up_to(unpacker, following, end)
        else:
            unpacker.finish()
        if items is not None and rest is not None:
            return Ahead(*head, (*items, *rest))
    return None


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


def _head_behind(window: bytes, packed: bytes, block: int, ahead: Ahead) -> list[Item] | None:
    with suppress(*_DAMAGE):
        items = _limited(Unpacker(window), aligned(packed[block // 8 : ahead.head], block % 8))
        if items is not None and sum(len(each) for each in items if isinstance(each, bytes)) == ahead.size:
            return items
    return None


def _up_to(unpacker: Unpacker, packed: bytes, block: int) -> list[Item] | None:
    """What comes out up to a block in `packed`; None if none begins there."""
    mark = Mark.random()
    items = _limited(unpacker, before_block(packed, block, mark)) or []
    tail = b""
    while items and len(tail) < len(mark.plain) and isinstance(last := items[-1], bytes):
        tail = last + tail
        del items[-1]
    return [*items, tail.removesuffix(mark.plain)] if tail.endswith(mark.plain) else None


def _limited(unpacker: Unpacker, packed: bytes) -> list[Item] | None:
    """What comes out of these bytes; None if it is too much to be held."""
    items: list[Item] = []
    size = 0
    for item in _unpack(unpacker, packed):
        items.append(item)
        size += len(item) if isinstance(item, bytes) else 0
        if size > _HELD:
            return None
    return items


def _unpack(unpacker: Unpacker, packed: bytes) -> Iterator[Item]:
    """In small portions where members are small: what is left of a portion is copied at the end of each."""
    view = memoryview(packed)
    portion = _PORTION
    while view:
        has_ended = False
        for item in unpacker.feed(view[:portion]):
            has_ended = has_ended or isinstance(item, Trailer)
            yield item
        view, portion = view[portion:], _PORTION if has_ended else min(2 * portion, CHUNK)
