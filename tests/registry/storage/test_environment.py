"""LMDB behind a door: snapshots, all or nothing, growth under readers, many processes."""

import multiprocessing
import threading
from pathlib import Path

import pytest

from registry.storage.environment import Environment, Rows

SMALL = 1 << 20


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "index", map_size=SMALL, headroom=SMALL // 2)


def fill(environment: Environment, first: int, last: int) -> None:
    for number in range(first, last):
        with environment.writing() as rows:
            rows.put("tags", b"%06d" % number, b"x" * 50_000)


def test_a_change_that_raises_changes_nothing(environment: Environment) -> None:
    with pytest.raises(RuntimeError), environment.writing() as rows:
        rows.put("tags", b"a")
        raise RuntimeError
    with environment.reading() as rows:
        assert rows.get("tags", b"a") is None


def test_a_snapshot_does_not_move(environment: Environment) -> None:
    with environment.reading() as rows:
        thread = threading.Thread(target=fill, args=(environment, 0, 1))
        thread.start()
        thread.join()
        assert rows.count("tags") == 0
    with environment.reading() as rows:
        assert rows.count("tags") == 1


def test_a_scan_is_ordered_and_keeps_to_its_prefix(environment: Environment) -> None:
    with environment.writing() as rows:
        for key in (b"a\0x", b"a\0y", b"a\0z", b"ab\0x", b"b"):
            rows.put("tags", key)
        assert [key for key, _ in rows.scan("tags", b"a\0")] == [b"a\0x", b"a\0y", b"a\0z"]
        assert [key for key, _ in rows.scan("tags", b"a\0", b"a\0x")] == [b"a\0y", b"a\0z"]
        assert [key for key, _ in rows.scan("tags", b"a\0", b"a\0xx")] == [b"a\0y", b"a\0z"]
        assert len(list(rows.scan("tags"))) == 5
        assert list(rows.scan("tags", b"a\0", b"a\0z")) == list(rows.scan("tags", b"c")) == []


def test_the_map_grows_while_threads_read(environment: Environment) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                with environment.reading() as rows:
                    assert all(len(value) == 50_000 for _, value in rows.scan("tags"))
        except BaseException as error:
            failures.append(error)
            raise

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    fill(environment, 0, 120)  # 6 MB in a map of 1 MB
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
    with environment.reading() as rows:
        assert rows.count("tags") == 120


def grow_elsewhere(path: Path) -> None:
    fill(Environment(path, map_size=SMALL, headroom=SMALL // 2), 0, 60)


def test_a_map_that_another_process_grew_is_taken_over(environment: Environment, tmp_path: Path) -> None:
    other = multiprocessing.get_context("spawn").Process(target=grow_elsewhere, args=(tmp_path / "index",))
    other.start()
    other.join()
    with environment.reading() as rows:
        assert rows.count("tags") == 60
    fill(environment, 60, 70)
    with environment.reading() as rows:
        assert rows.count("tags") == 70


def append(path: Path, mark: bytes, count: int) -> None:
    environment = Environment(path, map_size=SMALL, headroom=SMALL // 2)
    for number in range(count):
        with environment.writing() as rows:
            rows.put("tags", b"%s-%06d" % (mark, number), b"x" * 1000)
            _increment(rows)


def _increment(rows: Rows) -> None:
    rows.put("loads", b"count", b"%d" % (int(rows.get("loads", b"count") or b"0") + 1))


def test_writers_of_many_processes_lose_nothing(environment: Environment, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=append, args=(tmp_path / "index", mark, 100)) for mark in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with environment.reading() as rows:
        assert (rows.count("tags"), rows.get("loads", b"count")) == (300, b"300")
