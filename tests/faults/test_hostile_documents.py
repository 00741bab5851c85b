"""Documents and layers that unfold: bounded in time and in memory."""

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bench.layout import measure
from tests.conftest import listing
from tests.faults.hostile import (
    NO_DIGEST,
    UNFOLDING,
    ZEROS,
    archive,
    blob_path,
    docker_archive_of,
    entry,
    header,
    member,
    nested_index,
    packed,
    with_index,
    with_root,
    write_bundle,
)
from tests.faults.processes import Ended, watch

MEMORY = 300_000_000
GIB = 1 << 30


def load(tmp_path: Path, *members: Iterable[bytes], seconds: float = 60) -> Ended:
    """Load these members and a good one, which must be there at the end; within bounds."""
    bundle = write_bundle(tmp_path / "b.tar", *members)
    ended = watch("load", bundle, "-s", tmp_path / "store", folder=tmp_path, seconds=seconds)
    assert "internal error" not in ended.error
    assert "good:1" in listing(tmp_path / "store")
    assert ended.peak < MEMORY
    return ended


def assert_failed_alone(ended: Ended) -> None:
    assert ended.code == 1
    assert "[1/2] failed bad_1.tar: " in ended.output
    assert max(map(len, ended.output.splitlines())) < 1000


@pytest.mark.parametrize("place", [with_index, with_root], ids=["index.json", "manifest"])
def test_documents_that_unfold_fail_their_members_alone(tmp_path: Path, place: Callable[[bytes], bytes]) -> None:
    ended = load(tmp_path, *(archive(f"{name}_1.tar", place(body)) for name, body in UNFOLDING.items()))
    assert ended.code == 1
    for name in UNFOLDING:
        assert f"] failed {name}_1.tar: " in ended.output
    assert max(map(len, ended.output.splitlines())) < 1000
    assert ended.cpu < 10


def test_nesting_at_the_very_limit_of_the_interpreter_fails_its_member_alone(tmp_path: Path) -> None:
    """What the parser still takes, the text of an error message may not."""
    depths = range(850, 1000, 3)
    documents = [b'{"schemaVersion":' + b"[" * depth + b"]" * depth + b"}" for depth in depths]
    ended = load(tmp_path, *(archive(f"n{n}_1.tar", with_root(body)) for n, body in enumerate(documents)))
    assert ended.output.count("] failed n") == len(depths)


def test_a_gzip_bomb_as_a_layer_is_unpacked_in_flat_memory(tmp_path: Path) -> None:
    zeros = [ZEROS] * (GIB // len(ZEROS))
    bomb, (digest, _) = packed(zeros), measure(zeros)
    ended = load(tmp_path, entry("bomb_1.tar", docker_archive_of((bomb,), len(bomb), digest)))
    assert ended.code == 0
    assert ended.cpu < 30


def test_a_bundle_that_unfolds_goes_through_in_flat_memory(tmp_path: Path) -> None:
    zeros = [ZEROS] * 16
    archives = entry("bad_1.tar", docker_archive_of(zeros, len(ZEROS) * 16, NO_DIGEST))
    bundle = tmp_path / "b.tar.gz"
    bundle.write_bytes(packed([*archives, bytes(1024)]))
    ended = watch("load", bundle, "-s", tmp_path / "store", folder=tmp_path)
    assert "failed bad_1.tar: " in ended.output
    assert ended.peak < MEMORY


@pytest.mark.parametrize("place", [30, 400, -6])
def test_a_damaged_gzip_as_a_layer_of_a_docker_archive_fails_it_alone(tmp_path: Path, place: int) -> None:
    damaged = bytearray(gzip.compress(b"".join(b"line %d\n" % number for number in range(20_000)), mtime=0))
    for offset in range(4):
        damaged[place + offset] ^= 0xA5
    bad = docker_archive_of((bytes(damaged),), len(damaged), NO_DIGEST)
    assert_failed_alone(load(tmp_path, entry("bad_1.tar", bad)))


@pytest.mark.slow
def test_an_archive_of_50000_documents_takes_time_in_proportion(tmp_path: Path) -> None:
    bodies = (b'{"n":%d}' % number for number in range(50_000))
    many = b"".join(member(blob_path(body), body) for body in bodies)
    ended = load(tmp_path, archive("bad_1.tar", many))
    assert_failed_alone(ended)
    assert ended.cpu < 15


@pytest.mark.slow
def test_100000_tiny_members_are_all_told(tmp_path: Path) -> None:
    ended = load(tmp_path, (header(f"m/{number}_1.tar") for number in range(100_000)))
    assert ended.code == 1
    assert ended.output.count("failed m/") == 100_000
    assert len(ended.error.splitlines()) < 100
    assert ended.cpu < 30


@pytest.mark.slow
def test_tiny_blobs_take_time_in_proportion(tmp_path: Path) -> None:
    bodies = (b"blob %d" % number for number in range(5_000))
    many = b"".join(member(blob_path(body), body) for body in bodies)
    ended = load(tmp_path, archive("bad_1.tar", many))
    assert_failed_alone(ended)
    assert ended.cpu < 10


@pytest.mark.slow
def test_an_index_nested_10000_deep_is_loaded_or_refused_in_time(tmp_path: Path) -> None:
    ended = load(tmp_path, entry("deep_1.tar", nested_index(10_000)))
    assert ended.code in (0, 1)
    assert ended.cpu < 15
