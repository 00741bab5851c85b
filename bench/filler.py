"""Bytes that look like packed layers: seeded, fast, distinct, and hardly compressible."""

import hashlib
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from bench.archive import STORED_LIMIT, Archive, Entry
from bench.layout import Layer

PIECES = 256  # 16 MiB, longer than a window of zstd below --long, so that no packer sees a repetition
PIECE_SIZE = STORED_LIMIT
STAMP_SIZE = 16
FILE_SIZES = (8 << 10, 64 << 10, 512 << 10, 1 << 20, 4 << 20)

# 208 of 256 byte values, 48 of them twice as frequent. gzip then codes literals and gains 5 %, as on the real bundle
# (22 GB become 21). Evenly random bytes would be stored instead, and inflate 4 times as fast as a gzip'd layer does.
SKEW = bytes(range(208)) + bytes(range(48))


@dataclass(frozen=True, slots=True)
class Pool:
    """Pieces of random bytes, from which all filler of one bundle is put together."""

    seed: int
    pieces: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def from_seed(cls, seed: int) -> Self:
        """The pool of `seed`, always the same."""
        rng = random.Random(f"pool/{seed}")
        return cls(seed, tuple(rng.randbytes(PIECE_SIZE).translate(SKEW) for _ in range(PIECES)))

    def filler(self, key: str, size: int) -> "Filler":
        """`size` bytes that belong to `key` alone."""
        return Filler(self, key, size)

    def layer(self, key: str, size: int) -> Layer:
        """A layer of about `size` bytes: a tar of several files below `opt/`."""
        return Layer.stored(Archive(tuple(self._files(key, size))))

    def _files(self, key: str, size: int) -> Iterator[Entry]:
        rng = random.Random(f"{self.seed}/{key}")
        folder = f"opt/{key.rpartition('/')[2]}"
        yield Entry.directory(folder)
        number, left = 0, size
        while left > 0:
            length = min(left, rng.choice(FILE_SIZES))
            filler = self.filler(f"{key}/{number}", length)
            yield Entry(f"{folder}/part-{number:05}.bin", filler, length, rng.choice((0o644, 0o755)))
            number, left = number + 1, left - length


@dataclass(frozen=True, slots=True)
class Filler:
    """A walk over the pool that its key decides; a stamp before each piece makes it unique."""

    pool: Pool
    key: str
    size: int

    def __iter__(self) -> Iterator[bytes]:
        digest = hashlib.sha256(f"{self.pool.seed}/{self.key}".encode()).digest()
        place, stride = digest[8], digest[9] | 1  # odd: the walk meets all 256 pieces before it meets one again
        left = self.size
        for number in count():
            yield (digest[:8] + struct.pack("<Q", number))[:left]
            left -= STAMP_SIZE
            if left <= 0:
                return
            yield self.pool.pieces[place][:left]  # no copy, unless cut
            place, left = (place + stride) % PIECES, left - PIECE_SIZE
            if left <= 0:
                return


@dataclass(frozen=True, slots=True)
class Headed:
    """Filler behind bytes that mean something."""

    head: bytes
    filler: Filler

    @property
    def size(self) -> int:
        return len(self.head) + self.filler.size

    def __iter__(self) -> Iterator[bytes]:
        yield self.head
        yield from self.filler
