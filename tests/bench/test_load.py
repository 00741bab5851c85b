import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.errors import BenchFailed
from bench.floor import HASH, UNPACK, WRITE, Content, against_floor
from bench.footprint import Footprint, footprint
from bench.load import LOAD, TAR, Comparison, Timing, against_earlier, against_tar, among_sources, measure, peak
from bench.neighbours import Usage
from bench.phases import phases
from bench.report import footprint_line, load_table
from bench.spread import Spread
from bench.stock import Bundle, bundle

SIZE = 12_000_000
TIMINGS = (Timing(0, LOAD, 2.0, 0), Timing(0, TAR, 8.0, 0), Timing(1, TAR, 12.0, 0), Timing(1, LOAD, 4.0, 0))
COMPARED = Comparison(2_000_000_000, (LOAD, TAR), TIMINGS)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def small(work: Path) -> Bundle:
    return bundle(work, SIZE)


def test_speed_compares_within_a_round() -> None:
    assert COMPARED.speed(TAR) == Spread(3, 3.5, 4)


def test_the_table_tells_the_size_and_every_contender() -> None:
    header, ours, theirs = load_table(COMPARED)
    assert header.startswith("2.0 GB")
    assert ours.split() == ["k0rdentd", "load", "3.00", "667"]
    assert theirs.endswith("3.00 / 3.50 / 4.00")


def test_a_bundle_is_made_once(work: Path, small: Bundle) -> None:
    made = small.path.stat()
    again = bundle(work, SIZE)
    assert again == small
    assert again.path.stat().st_mtime_ns == made.st_mtime_ns


def test_a_bundle_that_is_not_whole_is_made_again(tmp_path: Path) -> None:
    whole = bundle(tmp_path, SIZE, "dir", nested=False)
    (whole.path.parent / "contents.json").unlink()
    assert bundle(tmp_path, SIZE, "dir", nested=False) == whole


def test_every_phase_of_a_bundle_with_one_store_is_timed(small: Bundle, work: Path) -> None:
    found = [timing.contender for timing in measure(phases(small), work / "run", rounds=1)]
    names = ("load", "second load", "rest after a kill")
    assert found == [f"{name}, {way}" for name in names for way in ("--no-verify", "--verify")]


def test_the_floor_is_of_what_the_bundle_holds(small: Bundle, work: Path) -> None:
    content = Content.of(small, work / "run")
    assert 0 < sum(content.sizes) < SIZE
    timings = measure(against_floor(small, content), work / "run", rounds=1)
    assert [timing.contender for timing in timings if timing.seconds > 0] == [LOAD, UNPACK, HASH, WRITE]


def test_every_contender_is_measured_in_every_round(small: Bundle, work: Path) -> None:
    found = list(measure(against_tar(small), work / "run", rounds=2))
    assert [timing.contender for timing in found] == [LOAD, TAR, TAR, LOAD]
    assert all(timing.seconds > 0 for timing in found)
    assert not (work / "run").exists()


def test_sources_are_told_apart(small: Bundle, work: Path) -> None:
    found = list(measure(among_sources([small, bundle(work, SIZE, "dir")]), work / "run", rounds=1))
    assert [timing.contender for timing in found] == [f"{LOAD} tar.gz", f"{LOAD} dir"]


@pytest.mark.client
def test_the_earlier_way_pushes_every_archive(work: Path) -> None:
    flat = bundle(work, SIZE, nested=False)
    found = list(measure(against_earlier(flat)[1:], work / "run", rounds=1))
    assert found[0].seconds > 0


def test_a_load_takes_memory_and_writes_nothing_elsewhere(small: Bundle, work: Path) -> None:
    found = peak(small, work / "run")
    assert 10_000_000 < found.pss <= found.rss
    assert found.outside == frozenset()


def test_memory_of_children_counts(tmp_path: Path) -> None:
    child = "import time; held = bytes(range(256)) * 400_000; time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    found = footprint([sys.executable, "-c", parent], tmp_path / "scratch", tmp_path / "storage")
    assert found.pss > 100_000_000


def test_files_left_elsewhere_are_found(tmp_path: Path) -> None:
    found = footprint(["sh", "-c", "echo > $TMPDIR/left; echo > here"], tmp_path / "scratch", tmp_path / "storage")
    assert found.outside == {str(tmp_path / "scratch/left"), str(tmp_path / "scratch/here")}


def test_files_that_were_deleted_while_open_are_found(tmp_path: Path) -> None:
    script = "exec 3> gone; rm gone; sleep 0.5"
    found = footprint(["sh", "-c", script], tmp_path / "scratch", tmp_path / "storage")
    gone = f"{tmp_path}/scratch/gone"
    assert f"{gone} (deleted)" in found.outside
    assert found.outside <= {gone, f"{gone} (deleted)"}  # it may be seen before it is deleted, too


def test_files_in_the_storage_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    script = f"exec 3> {tmp_path}/storage/blob; sleep 0.3"
    assert footprint(["sh", "-c", script], tmp_path / "scratch", tmp_path / "storage").outside == frozenset()


def test_a_load_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="ended with 3"):
        footprint(["sh", "-c", "exit 3"], tmp_path / "scratch", tmp_path / "storage")


def test_what_a_load_took_is_told() -> None:
    line = footprint_line(2_000_000_000, Footprint(81_000_000, 120_000_000))
    assert line == "2.0 GB: peak memory 81 MB (PSS), 120 MB (RSS); files written outside the storage: none"


def test_the_work_of_others_is_not_ours() -> None:
    assert Usage(2.0, 10.0, 5.0).others_since(Usage(0.0, 6.0, 4.0)) == 1.5


def test_our_own_work_is_not_that_of_others() -> None:
    before = Usage.now()
    sum(range(10_000_000))
    assert Usage.now().ours > before.ours


def test_the_command_writes_every_measurement(small: Bundle, work: Path) -> None:
    arguments = ["load", "--work", str(work), "--size", str(SIZE), "--rounds", "1", "--json", str(work / "out.json")]
    outcome = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert "files written outside the storage: none" in outcome.output
    document = orjson.loads((work / "out.json").read_bytes())
    assert [len(compared["timings"]) for compared in document["comparisons"]] == [2]
    assert document["machine"]["cores"] > 0
    assert list(document["footprints"]) == [str(SIZE)]
