"""However a file is read, each of its bytes is hashed once, in order."""

import hashlib
import os
import random
from contextlib import closing
from pathlib import Path

import pytest

from loader.errors import BundleInvalid
from loader.hashing import HashedFile
from loader.rawfile import BundleFile
from loader.source import Source
from tests.images import write_tar


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(5_000_000))
    return path


def sha256(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_read_twice_skipped_or_left_the_digest_is_the_files(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with closing(BundleFile([path])) as file:
        hashed = HashedFile(path, file, ("sha256", "sha384"))
        for _ in range(rng.randrange(40)):
            match rng.randrange(4):
                case 0:
                    hashed.seek(max(0, hashed.position - rng.randrange(100_000)))
                case 1:
                    hashed.seek(hashed.position + rng.randrange(400_000))
                case _:
                    hashed.read(rng.choice((1, 512, 100_000, 1_000_000)))
        digests = hashed.digests()
    assert digests["sha256"] == sha256(path)
    assert digests["sha384"] == hashlib.sha384(path.read_bytes()).digest()


def test_what_is_read_is_what_is_hashed_and_not_what_the_file_is_later(path: Path) -> None:
    before = sha256(path)
    with closing(BundleFile([path])) as file:
        hashed = HashedFile(path, file, ("sha256",))
        while hashed.read(1_000_000):
            pass
        path.write_bytes(bytes(5_000_000))
        assert hashed.digests()["sha256"] == before


def test_reading_on_behind_the_digest_changes_nothing(path: Path) -> None:
    with closing(BundleFile([path])) as file:
        hashed = HashedFile(path, file, ("sha256",))
        hashed.read(10)
        first = hashed.digests()
        assert len(hashed.read()) == path.stat().st_size - 10
        assert hashed.digests() == first == {"sha256": sha256(path)}


def test_a_reader_is_never_far_ahead_of_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)
    with closing(BundleFile([path])) as file:
        hashed = HashedFile(path, file, ("sha256",))
        for place in range(0, 1_100_000_000, 100_000_000):
            hashed.seek(place)
            hashed.read(1)
            assert place - hashed._hashed <= 612_000_000
        hashed.close()


def test_a_file_that_cannot_be_read_is_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    with closing(BundleFile([path])) as file:
        folder = os.open(tmp_path, os.O_RDONLY)
        hashed = HashedFile(path, file, ("sha256",))
        os.dup2(folder, file._pieces._descriptors[0])  # reading a directory is an error of the kernel's
        os.close(folder)
        with pytest.raises(BundleInvalid, match="cannot read"):
            hashed.digests()


def test_a_source_that_is_left_early_leaves_no_thread(path: Path) -> None:
    bundle = write_tar(path.with_name("b.tar"), {})
    with Source(bundle) as source:
        hashed = source.hash(("sha256",))
    assert not hashed._thread.is_alive()
