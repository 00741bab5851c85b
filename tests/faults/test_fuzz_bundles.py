"""Bundles that chance has damaged: a load, a listing and a survey end soon and in words, and name nothing else.

FUZZ_BUNDLES=100000 runs for long, and FUZZ_SEED gives others; a failure names its seed.
"""

import json
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import chart_archive, docker_archive, index, layer, oci_archive
from loader.contents import list_members
from loader.errors import LoaderError
from loader.selection import Selection
from loader.source import Source
from loader.survey import survey
from tests.conftest import k0rdentd, listing
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_nothing_under_way
from tests.faults.mutation import mutated
from tests.faults.test_hostile import escaped
from tests.images import small_image, write_tar

pytestmark = pytest.mark.slow

CASES = int(os.environ.get("FUZZ_BUNDLES", "400"))
LOADS = max(5, CASES // 100)
SEED = os.environ.get("FUZZ_SEED", "0")
SECONDS = 10
MEMORY = 120_000  # kB more than before, whatever the bundle says of itself


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small bundle of every kind."""
    archives = {
        "one_1.tar": oci_archive(small_image("one")),
        "both_1.tar": oci_archive(index([small_image("amd"), small_image("arm", arch="arm64")])),
        "docker_1.tar": docker_archive([layer(files({"a": b"a" * 3000}))], "x:1"),
        "charts/c_1.0.0.tar": chart_archive("c", "1.0.0"),
    }
    return write_tar(tmp_path_factory.mktemp("whole") / "b.tar", archives).read_bytes()


@contextmanager
def soon(case: str) -> Iterator[None]:
    """The block has to end in time."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"{case} hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_whatever_a_bundle_holds_its_listing_and_its_survey_end_in_words(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "b.tar"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(CASES):
        case = f"{SEED}/{number}"
        path.write_bytes(mutated(whole, case))
        try:
            with soon(case), Source(path) as source:
                survey(source, Selection(platforms=("linux/amd64",) if number % 2 else ()))
                list(list_members(source))
        except LoaderError:
            continue
        except Exception as error:
            raise AssertionError(f"FUZZ_SEED and number {case}") from error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY
    assert escaped() == []


@pytest.mark.parametrize("number", range(LOADS))
def test_whatever_a_bundle_holds_a_load_of_it_ends_in_words(tmp_path: Path, whole: bytes, number: int) -> None:
    path, report = tmp_path / "b.tar", tmp_path / "r.json"
    path.write_bytes(mutated(whole, f"{SEED}/load/{number}"))
    done = k0rdentd("load", path, "-s", tmp_path / "s", "--report", report)
    assert done.returncode in (0, 1), done.stderr
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr
    outcomes = json.loads(report.read_text())["members"] if report.exists() else []
    loaded = {each["image"] for each in outcomes if each["outcome"] in ("loaded", "present")}
    assert loaded <= set(listing(tmp_path / "s"))
    assert_blobs_are_what_they_are_called(tmp_path / "s")
    assert_nothing_under_way(tmp_path / "s")
    assert {each.name for each in tmp_path.iterdir()} <= {"b.tar", "r.json", "s"}
    assert escaped() == []
