"""Loads beside loads, and beside a registry that dies."""

import gzip
import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench.layout import oci_archive
from tests.conftest import Server, k0rdentd, listing, serving
from tests.faults.contents import assert_nothing_under_way
from tests.faults.processes import alive, children, halt_when, kill_session, load_under_way, start_load, wait_until
from tests.faults.pulling import Asking, Puller
from tests.images import small_image, write_tar


def test_a_second_load_at_the_same_time_is_refused_and_harms_nothing(large_bundle: Path, seeded_root: Path) -> None:
    with load_under_way(large_bundle, seeded_root) as first:
        os.killpg(first.pid, signal.SIGSTOP)
        second = k0rdentd("load", large_bundle, "-s", seeded_root)
        assert (second.returncode, second.stdout) == (4, "")
        assert second.stderr == "k0rdentd: another load into this store is running: wait for it, or stop it\n"
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(60) == 0
    assert "seed:1" in listing(seeded_root)
    assert_nothing_under_way(seeded_root)
    assert len(listing(seeded_root)) > 1


@pytest.mark.slow
def test_many_loads_that_start_at_once_make_one_whole_store(large_bundle: Path, seeded_root: Path) -> None:
    loads = [start_load(large_bundle, seeded_root) for _ in range(4)]
    codes = sorted(load.wait(60) for load in loads)
    assert codes[0] == 0
    assert set(codes) <= {0, 4}
    assert_nothing_under_way(seeded_root)
    again = k0rdentd("load", large_bundle, "-s", seeded_root)
    assert again.returncode == 0
    assert " loaded" not in again.stdout


def test_many_loads_that_make_a_new_store_at_once_make_one(root: Path) -> None:
    seed = write_tar(root.with_name("seed.tar"), {"seed_1.tar": oci_archive(small_image())})
    loads = [start_load(seed, root) for _ in range(4)]
    codes = sorted(load.wait(60) for load in loads)
    assert codes[0] == 0
    assert set(codes) <= {0, 4}
    assert set(listing(root)) == {"seed:1"}


@pytest.mark.slow
def test_a_load_beside_workers_that_are_killed_again_and_again(
    large_bundle: Path, seeded_root: Path, tmp_path: Path
) -> None:
    with serving("-s", seeded_root, "--workers", "2", log=tmp_path / "log") as server:
        with Asking(server, workers_die=True):
            load = start_load(large_bundle, seeded_root)
            kills = kill_workers_until_it_ends(load, server)
        assert (load.returncode, kills > 1) == (0, True)
        wait_until(lambda: len(children(server.process.pid)) == 2, "workers did not come back")
        with Puller(server) as puller:
            assert puller.pull_all() == listing(seeded_root)
        assert len(listing(seeded_root)) > 1
        assert "Traceback" not in server.log.read_text()
    assert_nothing_under_way(seeded_root)


def kill_workers_until_it_ends(load: subprocess.Popen[bytes], server: Server) -> int:
    """At any moment of their lives, their start among them."""
    rng, kills = random.Random(6), 0
    while load.poll() is None:
        time.sleep(rng.uniform(0.01, 0.15))
        for worker in children(server.process.pid):
            with suppress(ProcessLookupError):  # it may be dead of the last round
                os.kill(worker, signal.SIGKILL)
            kills += 1
    return kills


@pytest.mark.parametrize("everybody", [True, False], ids=["as a terminal does it", "the load alone"])
@pytest.mark.parametrize("writing", [False, True], ids=["while its processes start", "while it writes"])
def test_ctrl_c_ends_a_load_with_one_sentence(
    large_bundle: Path, seeded_root: Path, writing: bool, everybody: bool
) -> None:
    load = start_load(large_bundle, seeded_root)
    try:
        halt_when(load, lambda: any((seeded_root / "uploads").iterdir()) if writing else len(alive(load.pid)) > 2)
        (os.killpg if everybody else os.kill)(load.pid, signal.SIGINT)
        os.killpg(load.pid, signal.SIGCONT)
        assert load.wait(20) == 130
        wait_until(lambda: not alive(load.pid), "processes live on", 3)
    finally:
        kill_session(load)
    assert seeded_root.with_suffix(".log").read_text().strip() == "k0rdentd: interrupted; run it again to go on"
    assert_nothing_under_way(seeded_root)


def test_a_bundle_that_is_removed_while_it_is_loaded_is_told(large_bundle: Path, root: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "b.tar"
    with gzip.open(large_bundle) as packed, bundle.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    load = start_load(bundle, root, "--jobs", "2")
    try:
        halt_when(load, lambda: (root / "uploads").is_dir() and any((root / "uploads").iterdir()))
        bundle.unlink()
        os.killpg(load.pid, signal.SIGCONT)
        assert load.wait(20) == 1
    finally:
        kill_session(load)
    said = root.with_suffix(".log").read_text()
    assert f"cannot open {bundle}: No such file or directory" in said
    assert "internal error" not in said
    assert_nothing_under_way(root)


def test_sigterm_ends_a_load_as_ctrl_c_does(large_bundle: Path, seeded_root: Path) -> None:
    """systemd, Ansible and the registry's own stop send it."""
    with load_under_way(large_bundle, seeded_root) as load:
        load.terminate()
        assert load.wait(20) in (130, 128 + signal.SIGTERM, -signal.SIGTERM)
        wait_until(lambda: not alive(load.pid), "processes live on", 3)
    assert "leaked" not in seeded_root.with_suffix(".log").read_text()
    assert_nothing_under_way(seeded_root)
