"""A gzip file unpacked by all cores: in sections, each from the first block that is found in it.

Where that cannot be done out of turn (`ahead.py`), a section is unpacked behind the one before it: one
without a block, or with one that is none, and one whose head does not end.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from gzip import BadGzipFile
from itertools import chain
from typing import Final

from isal import isal_zlib

from loader.ahead import Ahead, head_behind, unpack_ahead, up_to
from loader.checkpoint import PROOF, Checkpoint, whole_mib
from loader.deflate import WINDOW, aligned, find_block
from loader.futures import finished
from loader.rawfile import CHUNK, RawFile
from loader.unpacker import DAMAGE, Item, Trailer, Unpacker

SECTION: Final = 8 * CHUNK  # packed
INTERVAL: Final = 64 * CHUNK  # of output, between two checkpoints
_REMEMBERED: Final = 16  # checkpoints that nobody has asked for yet
_RETRACED: Final = 4  # sections that are kept for the case that a block in the next one is none


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
            if line is not None:
                end = None if block is None else line.ended(section.packed, block)
                yield from line.feed(section.packed) if end is None else end
                if end is None:
                    continue
                line = None
            assert block is not None, "what was unpacked last was unpacked up to it"
            self._remember(section, block)
            ahead = section.ahead.result()
            head = None if ahead is None else head_behind(self._window, section.packed, block, ahead)
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
                    last.ahead = pool.submit(unpack_ahead, last.packed, last.block, packed, block)
                if packed:
                    queue.append(Section(offset, packed, block, finished(None)))
            if queue:
                yield queue.popleft()

    def _block(self, pool: ThreadPoolExecutor, offset: int, packed: bytes) -> Future[int | None]:
        if self._start is not None and offset == self._start.begin:
            return finished(self._start.bit % 8)
        return pool.submit(find_block, packed) if packed and offset else finished(None)

    def _read(self) -> bytes:
        """A section, which ends at a whole MiB of the file: that is what its digest is noted for."""
        return self._file.read(SECTION - self._file.position % CHUNK)

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
        yield from self._unpacker.feed(packed)

    def ended(self, packed: bytes, block: int) -> list[Item] | None:
        """What comes out up to the block in `packed`; None if there is none, and `packed` is to be fed."""
        if len(self._fed) > _RETRACED:
            return None
        with suppress(*DAMAGE):
            items = up_to(self._unpacker, packed, block)
            if items is not None:
                return items
        self._unpacker = Unpacker(self._window)
        for each in self._fed:
            deque(self._unpacker.feed(each), maxlen=0)
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
