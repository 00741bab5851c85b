"""kill -9 of a load, at any moment: nothing half-written is seen, and a rerun goes on."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import k0rdentd, listing, serving
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_same_store
from tests.faults.processes import alive, halt_when, kill_group, kill_session, pool_of, start_load, wait_until
from tests.faults.pulling import Asking, Puller

pytestmark = pytest.mark.slow

# How often the loads into one store are killed before one may finish.
CHAINS = (1, 1, 1, 2, 3, 5, 7)


@dataclass(frozen=True)
class Bundle:
    """A bundle; a store that has only another image; a store that then loaded the bundle in one go, and how long."""

    path: Path
    seed: Path
    whole: Path
    seconds: float


@pytest.fixture(scope="module")
def bundle(large_bundle: Path, seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("kill")
    shutil.copytree(seed, folder / "whole")
    started = time.monotonic()
    assert k0rdentd("load", large_bundle, "-s", folder / "whole").returncode == 0
    return Bundle(large_bundle, seed, folder / "whole", time.monotonic() - started)


def moments() -> list[list[float]]:
    """Parts of one load's duration: one from each twentieth of it, in random order."""
    rng = random.Random(20)
    total = sum(CHAINS)
    parts = [(number + rng.random()) / total for number in range(total)]
    rng.shuffle(parts)
    return [[parts.pop() for _ in range(length)] for length in CHAINS]


@pytest.mark.parametrize("chain", moments(), ids=lambda chain: "-".join(f"{moment:.2f}" for moment in chain))
def test_a_killed_load_shows_nothing_incomplete_and_a_rerun_ends_like_a_load_in_one_go(
    tmp_path: Path, root: Path, bundle: Bundle, chain: list[float]
) -> None:
    shutil.copytree(bundle.seed, root)
    with (
        serving("-s", root, "--workers", "2", log=tmp_path / "log") as server,
        Asking(server) as asking,
        Puller(server) as puller,
    ):
        for number, moment in enumerate(chain):
            kill_a_load(bundle.path, root, moment * bundle.seconds, whole_group=(number + len(chain)) % 2 == 0)
            assert_all_is_complete(puller, root)
        finished = k0rdentd("load", bundle.path, "-s", root)
        assert (finished.returncode, finished.stderr) == (0, "")
        assert puller.pull_all() == listing(bundle.whole)
    assert asking.rounds
    assert_same_store(root, bundle.whole)


def kill_a_load(bundle: Path, root: Path, after: float, *, whole_group: bool) -> None:
    """Kill it with all its processes, or it alone: its processes must follow."""
    process = start_load(bundle, root)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        kill_group(process) if whole_group else process.kill()
        process.wait()
        wait_until(lambda: not alive(process.pid), "processes of a killed load live on", 3)
    finally:
        kill_session(process)


def assert_all_is_complete(puller: Puller, root: Path) -> None:
    shown = listing(root)
    assert puller.pull_all() == shown
    assert "seed:1" in shown
    assert_blobs_are_what_they_are_called(root)


def test_a_store_that_is_made_while_its_load_is_killed_opens(root: Path, bundle: Bundle) -> None:
    """It is none as long as its index has not begun; the next load goes on with what is there."""
    rng = random.Random(6)
    for _ in range(6):
        kill_a_load(bundle.path, root, rng.uniform(0.1, 0.4) * bundle.seconds, whole_group=True)
        if (root / "VERSION").exists():
            listed = k0rdentd("store", "ls", "-s", root)
            if listed.returncode == 0:
                shutil.rmtree(root)
            else:
                assert listed.stderr.startswith(f"k0rdentd: no store at {root}: load a bundle into it")
    assert k0rdentd("load", bundle.path, "-s", root).returncode == 0


def test_a_load_that_lost_a_process_says_so_and_a_rerun_finishes(root: Path, bundle: Bundle) -> None:
    shutil.copytree(bundle.seed, root)
    lose_a_process(bundle.path, root, lambda: any((root / "uploads").iterdir()))
    said = root.with_suffix(".log").read_text()
    assert said.splitlines()[-1].startswith("k0rdentd: a loading process was killed")
    assert "Traceback" not in said
    assert k0rdentd("load", bundle.path, "-s", root).returncode == 0
    assert_same_store(root, bundle.whole)


def test_a_load_that_loses_a_process_while_others_start_ends(root: Path, bundle: Bundle) -> None:
    for _ in range(5):
        lose_a_process(bundle.path, root, lambda: True)
    assert "internal error" not in root.with_suffix(".log").read_text()


def lose_a_process(bundle: Path, root: Path, condition: Callable[[], bool]) -> None:
    """As the kernel takes one for want of memory."""
    load = start_load(bundle, root, "--jobs", "4")
    try:
        halt_when(load, lambda: bool(pool_of(load.pid)) and condition())
        os.kill(pool_of(load.pid)[0], signal.SIGKILL)
        os.killpg(load.pid, signal.SIGCONT)
        assert load.wait(10) == 4
        wait_until(lambda: not alive(load.pid), "processes of a failed load live on", 3)
    finally:
        kill_session(load)
