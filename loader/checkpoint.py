"""A place in the middle of a gzip file from which it can be read on, and what proves that it is the same file."""

import base64
from dataclasses import dataclass
from typing import Final, Self

from loader.deflate import DAMAGE, aligned, decompressor
from loader.rawfile import CHUNK, RawFile

PROOF: Final = 4 * 1024  # bytes that must come out there
_PACKED: Final = 64 * 1024
_REFUSALS: tuple[type[Exception], ...] = (*DAMAGE, IndexError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block begins at bit `bit` of the file, and at byte `offset` of what it holds.

    `sha256` is of the file up to `packed`, where somebody took it: nothing else binds what was made of those bytes
    to those that are there now.
    """

    bit: int
    offset: int
    window: bytes
    """What comes before."""
    plain: bytes
    """What comes first."""
    sha256: str = ""

    @property
    def begin(self) -> int:
        """The byte of the file in which it lies."""
        return self.bit // 8

    @property
    def packed(self) -> int:
        """How much of the file, in whole MiB, holds all that comes before."""
        return whole_mib(self.bit)

    def is_in(self, file: RawFile) -> bool:
        """Whether the file, read on from there, gives what it gave.

        Raises:
            OSError: the file cannot be read.
        """
        packed = memoryview(bytearray(_PACKED))
        read = 0
        while count := file.pread(packed[read:], self.begin + read):
            read += count
        try:
            plain = decompressor(self.window).decompress(aligned(bytes(packed[:read]), self.bit % 8), PROOF)
        except _REFUSALS:
            return False
        return plain == self.plain

    def to_json(self) -> dict[str, object]:
        """For the index."""
        window, plain = (base64.b64encode(each).decode() for each in (self.window, self.plain))
        return {"bit": self.bit, "offset": self.offset, "window": window, "plain": plain, "sha256": self.sha256}

    @classmethod
    def from_json(cls, document: dict[str, object]) -> Self:
        """What `to_json` made this of."""
        window, plain = (base64.b64decode(str(document[name])) for name in ("window", "plain"))
        return cls(int(str(document["bit"])), int(str(document["offset"])), window, plain, str(document["sha256"]))


def whole_mib(bit: int) -> int:
    """So many bytes, in whole MiB, hold all before a bit."""
    return -(-bit // (8 * CHUNK)) * CHUNK
