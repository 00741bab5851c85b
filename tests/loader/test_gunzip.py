"""A gzip file is unpacked by several threads and from its middle, and gives what it gives from front to back."""

import gzip
import io
import os
import random
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from isal import igzip

from loader import ahead, checkpoint, inflate
from loader.checkpoint import Checkpoint
from loader.deflate import Mark, before_block, find_block
from loader.gunzip import Gunzip
from loader.rawfile import BundleFile, Pipe, RawFile
from loader.stream import DAMAGE
from loader.unpacker import Unpacker

SIZE = 2_000_000
SECTION = 128 * 1024


def _words(size: int) -> bytes:
    rng = random.Random(3)
    words = [rng.randbytes(rng.randrange(2, 9)) for _ in range(4000)]
    return b" ".join(rng.choices(words, k=size // 6))[:size]


def _gzipped(size: int) -> bytes:
    """Compressed already, as layers are: full of blocks that are none of the stream around them."""
    return gzip.compress(_words(3 * size), 6)[:size]


PLAIN = {
    "incompressible": random.Random(1).randbytes(SIZE),
    "hardly": random.Random(2).randbytes(SIZE).translate(bytes(each % 240 for each in range(256))),
    "gzipped": _gzipped(SIZE),
    "words": _words(SIZE),
    "zeros": bytes(SIZE),
}


def _members(plain: bytes) -> bytes:
    """As bgzip makes it."""
    return b"".join(gzip.compress(plain[at : at + 65280], 6) for at in range(0, len(plain), 65280))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib-1": lambda plain: gzip.compress(plain, 1),
    "zlib-6": lambda plain: gzip.compress(plain, 6),
    "zlib-9": lambda plain: gzip.compress(plain, 9),
    "isal-0": lambda plain: igzip.compress(plain, 0),
    "isal-1": lambda plain: igzip.compress(plain, 1),
    "isal-3": lambda plain: igzip.compress(plain, 3),
    "members": _members,
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


def unpacked(file: RawFile, start: Checkpoint | None = None) -> tuple[bytes, list[Checkpoint]]:
    parts = []
    with closing(Gunzip(file, start)) as reader:
        while part := reader.read(300_000):
            parts.append(part)
    return b"".join(parts), list(reader.checkpoints)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many sections, and a checkpoint at each."""
    monkeypatch.setattr(inflate, "CHUNK", 64 * 1024)
    monkeypatch.setattr(checkpoint, "CHUNK", 64 * 1024)
    monkeypatch.setattr(inflate, "SECTION", SECTION)
    monkeypatch.setattr(inflate, "INTERVAL", 1)


@pytest.fixture
def made_ahead(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each section, whether it was unpacked before its turn."""
    made: list[bool] = []
    real = ahead.unpack_ahead

    def noting(*arguments: Any) -> ahead.Ahead | None:
        found = real(*arguments)
        made.append(found is not None)
        return found

    monkeypatch.setattr(inflate, "unpack_ahead", noting)
    return made


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("kind", PLAIN)
def test_it_gives_what_was_packed(opened: Opened, kind: str, packer: str) -> None:
    plain = PLAIN[kind]
    packed = PACKERS[packer](plain)
    given, checkpoints = unpacked(opened(packed))
    assert given == plain
    for each in checkpoints[:: max(1, len(checkpoints) // 3)]:
        assert each.is_in(opened(packed))
        assert unpacked(opened(packed), each)[0] == plain[each.offset :]


@pytest.mark.parametrize(("kind", "packer"), [("incompressible", "zlib-6"), ("hardly", "zlib-9")])
def test_what_hardly_compresses_is_unpacked_side_by_side(
    opened: Opened, made_ahead: list[bool], kind: str, packer: str
) -> None:
    _, checkpoints = unpacked(opened(PACKERS[packer](PLAIN[kind])))
    assert sum(made_ahead) > 0.7 * len(made_ahead) > 7
    assert len(checkpoints) > 7
    assert len({each.bit % 8 for each in checkpoints}) > (1 if kind == "hardly" else 0)


def test_blocks_inside_of_what_is_packed_twice_are_not_taken_for_its_own(
    opened: Opened, made_ahead: list[bool]
) -> None:
    unpacked(opened(PACKERS["zlib-6"](PLAIN["gzipped"])))
    assert sum(made_ahead) > 0.7 * len(made_ahead) > 7


@pytest.mark.parametrize("kind", ["hardly", "words"])
def test_a_block_that_is_none_does_no_harm(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, kind: str, made_ahead: list[bool]
) -> None:
    rng = random.Random(4)

    def guess(packed: bytes) -> int | None:
        found = find_block(packed)
        return found if found is None or rng.random() < 0.5 else found + rng.randrange(1, 1000)

    monkeypatch.setattr(inflate, "find_block", guess)
    packed = PACKERS["zlib-6"](PLAIN[kind])
    given, checkpoints = unpacked(opened(packed))
    assert given == PLAIN[kind]
    assert all(unpacked(opened(packed), each)[0] == given[each.offset :] for each in checkpoints[::4])
    assert not all(made_ahead)


@pytest.mark.parametrize("packer", ["zlib-1", "zlib-6", "isal-1", "isal-3"])
def test_what_is_found_is_a_block(packer: str) -> None:
    packed = PACKERS[packer](PLAIN["hardly"])[10:]
    at = 500_000
    block = find_block(packed[at : at + 500_000])
    assert block is not None
    mark = Mark.random()
    given = zlib.decompressobj(-15).decompress(before_block(packed, at * 8 + block, mark))
    assert given.endswith(mark.plain)
    assert PLAIN["hardly"].startswith(given.removesuffix(mark.plain))


@pytest.mark.parametrize("strategy", [zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY])
@pytest.mark.parametrize("level", [0, 9])
def test_no_bit_inside_of_a_block_passes_for_a_seam(level: int, strategy: int) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, 31, 9, strategy)
    packed = packer.compress(bytes(range(144)) * 3) + packer.flush()
    for bit in range(81, len(packed) * 8 - 64):
        try:
            assert ahead.up_to(Unpacker(), packed, bit) is None
        except DAMAGE:
            continue


def test_a_file_that_differs_there_is_not_read_on(opened: Opened) -> None:
    packed = bytearray(PACKERS["zlib-6"](PLAIN["hardly"]))
    each = unpacked(opened(bytes(packed)))[1][2]
    packed[each.begin : each.begin + 100_000] = PACKERS["zlib-6"](PLAIN["hardly"][::-1])[500_000:600_000]
    assert not each.is_in(opened(bytes(packed)))
    assert not replace(each, bit=len(packed) * 8 + 1).is_in(opened(bytes(packed)))


def test_members_behind_one_another_and_zeros_at_the_end_are_read(opened: Opened) -> None:
    packed = PACKERS["zlib-6"](PLAIN["hardly"]) + PACKERS["isal-1"](b"more") + bytes(100)
    given, checkpoints = unpacked(opened(packed))
    assert given == PLAIN["hardly"] + b"more"
    assert unpacked(opened(packed), checkpoints[-1])[0] == given[checkpoints[-1].offset :]


def test_it_reads_a_pipe() -> None:
    packed = PACKERS["zlib-6"](PLAIN["hardly"])
    assert unpacked(Pipe(io.BytesIO(packed)))[0] == PLAIN["hardly"]


def test_nobody_waits_for_a_pipe_that_says_nothing() -> None:
    packed = PACKERS["zlib-6"](PLAIN["hardly"])
    there, here = os.pipe()
    os.write(here, packed[:60_000])
    pipe = Pipe.of(there)
    reader = Gunzip(pipe)
    closing_ = threading.Thread(target=reader.close, daemon=True)
    closing_.start()
    closing_.join(10)
    assert not closing_.is_alive()
    waiting = Gunzip(pipe)
    pipe.close()
    with pytest.raises(OSError, match="canceled"):
        waiting.read(100)
    os.close(here)
    os.close(there)


def test_a_head_of_empty_blocks_is_passed(opened: Opened) -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [packer.compress(PLAIN["hardly"][:600_000])]
    parts += [packer.flush(zlib.Z_PARTIAL_FLUSH) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(3)]
    parts += [b"\0\0\0\xff\xff" * 100_000, packer.compress(PLAIN["hardly"][600_000:]), packer.flush()]
    assert unpacked(opened(b"".join(parts)))[0] == PLAIN["hardly"]


@pytest.fixture
def full_header() -> bytes:
    """A gzip file's, with every field that there is, and the checksum of it."""
    fields = struct.pack("<H", 60_000) + bytes(60_000) + b"name\0" + b"a comment\0"
    header = b"\x1f\x8b\x08\x1e" + bytes(6) + fields
    return header + struct.pack("<H", zlib.crc32(header) & 0xFFFF)


def test_headers_with_every_field_are_passed(opened: Opened, full_header: bytes) -> None:
    assert unpacked(opened((full_header + gzip.compress(b"content")[10:]) * 3))[0] == b"content" * 3


def test_a_header_that_does_not_match_its_checksum_is_told(opened: Opened, full_header: bytes) -> None:
    packed = gzip.compress(b"more") + full_header.replace(b"comment", b"COMMENT") + gzip.compress(b"content")[10:]
    with pytest.raises(gzip.BadGzipFile, match="the header of a member"):
        unpacked(opened(packed))


@pytest.mark.parametrize(
    "packed",
    [
        b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 1_000_000,
        b"\x1f\x8b\x09" + bytes(60),
        gzip.compress(b"content") + b"trash",
        gzip.compress(b"content")[:-8] + bytes(8),
        gzip.compress(b"content")[:-4] + b"\1\0\0\0",
    ],
    ids=["endless name", "no deflate", "trash", "checksum", "size"],
)
def test_what_is_not_gzip_is_told(opened: Opened, packed: bytes) -> None:
    with pytest.raises(gzip.BadGzipFile):
        unpacked(opened(packed))


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100_000])
def test_a_file_that_ends_early_is_told(opened: Opened, cut: int) -> None:
    packed = PACKERS["zlib-6"](PLAIN["hardly"])
    first = unpacked(opened(packed))[1][0]
    for start in (None, first):
        with pytest.raises(EOFError):
            unpacked(opened(packed[:-cut]), start)


@pytest.mark.parametrize("kind", ["hardly", "gzipped", "words"])
def test_a_flipped_bit_is_told(opened: Opened, kind: str) -> None:
    packed = bytearray(PACKERS["zlib-6"](PLAIN[kind]))
    rng = random.Random(5)
    for _ in range(6):
        place, bit = rng.randrange(10, len(packed)), 1 << rng.randrange(8)
        packed[place] ^= bit
        with pytest.raises(DAMAGE):
            unpacked(opened(bytes(packed)))
        packed[place] ^= bit


def test_a_bomb_is_not_held(opened: Opened, monkeypatch: pytest.MonkeyPatch, made_ahead: list[bool]) -> None:
    monkeypatch.setattr(ahead, "_HELD", 1_000_000)
    assert unpacked(opened(gzip.compress(bytes(100_000_000), 1)))[0] == bytes(100_000_000)
    assert made_ahead
    assert not any(made_ahead[:-1])


def test_many_tiny_members_take_no_time_to_speak_of(opened: Opened) -> None:
    packed = gzip.compress(b"") * 300_000
    assert unpacked(opened(packed))[0] == b""
