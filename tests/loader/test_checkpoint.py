"""A gzip file is read on from its middle, and gives what it gives from its beginning."""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from isal import igzip

from loader import gunzip
from loader.checkpoint import KEPT, Checkpoint, aligned, decompressor, find_block
from loader.gunzip import Gunzip, resume_at
from loader.rawfile import BundleFile

SIZE = 6_000_000


PLAIN = {
    "incompressible": random.Random(1).randbytes(SIZE),
    "hardly": random.Random(2).randbytes(SIZE).translate(bytes(each % 240 for each in range(256))),
}
PACKERS = {
    "zlib-1": lambda plain: gzip.compress(plain, 1),
    "zlib-6": lambda plain: gzip.compress(plain, 6),
    "zlib-9": lambda plain: gzip.compress(plain, 9),
    "isal-1": lambda plain: igzip.compress(plain, 1),
    "isal-3": lambda plain: igzip.compress(plain, 3),
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], BundleFile]]:
    """Opens a file that holds these bytes."""
    with ExitStack() as stack:

        def open_(packed: bytes) -> BundleFile:
            (tmp_path / "file").write_bytes(packed)
            return stack.enter_context(closing(BundleFile([tmp_path / "file"])))

        yield open_


Opened = Callable[[bytes], BundleFile]


def checkpoints(file: BundleFile) -> list[Checkpoint]:
    reader = Gunzip(file)
    while reader.read(1 << 20):
        pass
    reader.close()
    return list(reader.checkpoints)


@pytest.fixture(autouse=True)
def _close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "INTERVAL", 1 << 20)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("kind", ["incompressible", "hardly"])
def test_reading_on_gives_the_rest(opened: Opened, kind: str, packer: str) -> None:
    plain = PLAIN[kind]
    packed = PACKERS[packer](plain)
    found = checkpoints(opened(packed))
    assert found
    for each in found:
        start = resume_at(opened(packed), each)
        assert start is not None
        assert each.offset - KEPT < start.offset <= each.offset
        reader = Gunzip(opened(packed), start)
        assert reader.read(SIZE) == plain[start.offset :]
        reader.close()


@pytest.mark.parametrize("packer", PACKERS)
def test_a_block_is_found_at_any_bit(packer: str) -> None:
    plain = PLAIN["hardly"]
    packed = PACKERS[packer](plain)
    shifts = set()
    for cut in range(KEPT, len(packed), KEPT):
        given = zlib.decompressobj(31).decompress(packed[:cut])[-KEPT:]
        block = find_block(packed[max(0, cut - KEPT) : cut], given)
        if block is None:
            continue
        shifts.add(block.bit % 8)
        rest = decompressor(given[block.at - 32768 : block.at]).decompress(
            aligned(packed[max(0, cut - KEPT) :], block.bit)
        )
        assert rest.startswith(given[block.at :])
        assert plain.endswith(rest)
    assert len(shifts) > 2


def test_a_file_that_differs_there_is_not_read_on(opened: Opened) -> None:
    packed = bytearray(PACKERS["zlib-6"](PLAIN["hardly"]))
    (each, *_) = checkpoints(opened(bytes(packed)))
    packed[each.packed - KEPT : each.packed] = PACKERS["zlib-6"](PLAIN["hardly"][::-1])[-KEPT:]
    assert resume_at(opened(bytes(packed)), each) is None


def test_members_behind_one_another_and_zeros_at_the_end_are_read(opened: Opened) -> None:
    packed = PACKERS["zlib-6"](PLAIN["hardly"]) + PACKERS["isal-1"](b"more") + bytes(100)
    start = resume_at(opened(packed), checkpoints(opened(packed))[-1])
    for begin in (None, start):
        reader = Gunzip(opened(packed), begin)
        assert reader.read(2 * SIZE) == (PLAIN["hardly"] + b"more")[begin.offset if begin else 0 :]
        reader.close()


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100_000])
def test_a_file_that_ends_early_is_told(opened: Opened, cut: int) -> None:
    packed = PACKERS["zlib-6"](PLAIN["hardly"])
    start = resume_at(opened(packed), checkpoints(opened(packed))[0])
    for begin in (None, start):
        reader = Gunzip(opened(packed[:-cut]), begin)
        with pytest.raises(EOFError):
            while reader.read(1 << 20):
                pass
        reader.close()
