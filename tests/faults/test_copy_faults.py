"""`store copy` over a wire that breaks and killed in the middle; `store export` to a disk that is full."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.layout import index
from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, serving
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_nothing_under_way, assert_same_store
from tests.faults.cutting import cutting
from tests.faults.processes import halt_when, kill_session, start
from tests.faults.volume import Volume
from tests.images import publish, small_image

pytestmark = pytest.mark.slow

_MB = 1_000_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store of 40 MB."""
    root = tmp_path_factory.mktemp("copy-faults") / "source"
    store = Store.open([root])
    publish(store, small_image(size=12 * _MB), "big:1")
    publish(store, index([small_image(size=3 * _MB), small_image(size=3 * _MB, arch="arm64")]), "multi:1")
    for number in range(11):
        publish(store, small_image(f"x{number}", 2 * _MB), f"small/x{number}:1")
    store.close()
    yield root
    shutil.rmtree(root)


@pytest.fixture
def served(source: Path, tmp_path: Path) -> Iterator[Server]:
    with serving("-s", source, "--workers", "2", log=tmp_path / "source.log") as server:
        yield server


@pytest.fixture
def writable(root: Path, tmp_path: Path) -> Iterator[Server]:
    with serving("-s", root, "--push", "anonymous", "--workers", "2", log=tmp_path / "log") as server:
        yield server


def test_a_pull_over_a_wire_that_breaks_again_and_again_completes(source: Path, root: Path, served: Server) -> None:
    with cutting(served.port, 5 * _MB) as wire:
        copied = k0rdentd("store", "copy", f"http://{wire.host}", root)
    assert (copied.returncode, copied.stderr) == (0, "")
    assert wire.cuts >= 7
    assert_same_store(root, source)


def test_a_push_over_a_wire_that_breaks_again_and_again_completes(source: Path, root: Path, writable: Server) -> None:
    with cutting(writable.port, 5 * _MB) as wire:
        copied = k0rdentd("store", "copy", source, f"http://{wire.host}")
    assert (copied.returncode, copied.stderr) == (0, "")
    assert wire.cuts >= 2  # no connection carries the big layer whole: it can only be gone on with
    assert_same_store(root, source)
    assert "Traceback" not in writable.log.read_text()


def sent(summary: str) -> float:
    """Megabytes, as the last line tells."""
    found = re.search(r": ([0-9.]+) MB sent in", summary)
    assert found is not None, summary
    return float(found[1])


def kill_when_blobs_are_there(root: Path, *arguments: str | Path) -> None:
    log = root.with_name("killed.log")
    with log.open("wb") as output:
        process = start("store", "copy", *arguments, "--jobs", "1", output=output.fileno(), error=output.fileno())
    try:
        halt_when(process, lambda: sum(path.stat().st_size > _MB for path in (root / "blobs").rglob("*")) >= 3)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    finally:
        kill_session(process)


def test_a_killed_copy_into_a_store_goes_on_where_it_was(source: Path, root: Path) -> None:
    kill_when_blobs_are_there(root, source, root)
    assert_blobs_are_what_they_are_called(root)
    again = k0rdentd("store", "copy", source, root)
    assert (again.returncode, again.stderr) == (0, "")
    assert sent(again.stdout) < 38
    assert_same_store(root, source)


def test_a_killed_copy_into_a_registry_goes_on_where_it_was(source: Path, root: Path, writable: Server) -> None:
    kill_when_blobs_are_there(root, source, writable.url)
    again = k0rdentd("store", "copy", source, writable.url)
    assert (again.returncode, again.stderr) == (0, "")
    assert sent(again.stdout) < 38


def test_an_interrupted_copy_leaves_nothing_under_way_and_goes_on(source: Path, root: Path) -> None:
    with root.with_name("interrupted.log").open("wb") as log:
        process = start("store", "copy", source, root, output=log.fileno(), error=log.fileno())
    try:
        halt_when(process, lambda: any((root / "uploads").glob("*")))
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(20) == 130
    finally:
        kill_session(process)
    assert "Traceback" not in root.with_name("interrupted.log").read_text()
    assert_nothing_under_way(root)
    assert k0rdentd("store", "copy", source, root).returncode == 0
    assert_same_store(root, source)


def test_a_copy_into_a_disk_that_is_full_says_so_once_and_goes_on_when_there_is_room(
    source: Path, volume: Volume
) -> None:
    volume.resize(24 * 1024 * 1024)
    refused = k0rdentd("store", "copy", source, volume.store)
    assert refused.returncode == 4
    assert refused.stderr.count("no space left") == 1
    assert "Traceback" not in refused.stderr
    volume.resize(64 * 1024 * 1024)
    assert k0rdentd("store", "copy", source, volume.store).returncode == 0
    assert_same_store(volume.store, source)


def test_an_export_to_a_disk_that_is_too_small_is_refused_before_it_begins(source: Path, volume: Volume) -> None:
    volume.resize(30 * 1024 * 1024)
    refused = k0rdentd("store", "export", "*", volume.path / "out.tar", "-s", source)
    assert refused.returncode == 4
    assert re.fullmatch(r"k0rdentd: no space for \S+out.tar, which takes 40\.\d MB: name .*\n", refused.stderr)
    assert list(volume.path.iterdir()) == []


def test_an_export_to_a_disk_that_fills_up_leaves_nothing(source: Path, volume: Volume) -> None:
    with open(os.devnull, "wb") as nothing:
        process = start(
            "store",
            *("export", "big:1", volume.path / "out.tar", "-s", source),
            output=nothing.fileno(),
            error=nothing.fileno(),
        )
    try:
        halt_when(process, (volume.path / "out.tar.partial").exists)
        with suppress(OSError):  # it may write on for an instant
            volume.fill()
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(20) == 4
    finally:
        kill_session(process)
    assert list(volume.path.iterdir()) == [volume.ballast]


def test_a_terminated_export_leaves_nothing_and_the_old_archive_stays(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    out.write_text("old")
    with open(os.devnull, "wb") as nothing:
        process = start("store", "export", "*", out, "-s", source, output=nothing.fileno(), error=nothing.fileno())
    try:
        halt_when(process, out.with_name("out.tar.partial").exists)
        process.terminate()
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(20) == 130
    finally:
        kill_session(process)
    assert out.read_text() == "old"
    assert not out.with_name("out.tar.partial").exists()
