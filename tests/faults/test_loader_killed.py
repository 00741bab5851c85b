"""The load that a registry began is killed: it serves on, and does not say for ever that it is loading."""

import os
import signal
from pathlib import Path

import httpx

from bench.bundle import BundleSpec
from bench.corpus import write_bundle
from tests.conftest import Server, k0rdentd, serving
from tests.faults.processes import children, wait_until


def readiness(server: Server) -> str:
    return httpx.get(f"{server.url}/readyz").text


def test_a_killed_load_is_told_and_another_one_makes_ready(tmp_path: Path) -> None:
    bundle, root = tmp_path / "b.tar.gz", tmp_path / "s"
    write_bundle(BundleSpec(size=100_000_000), bundle, "tar.gz")
    with serving("-s", root, "-b", bundle, "--workers", "1", log=tmp_path / "log") as server:
        wait_until(lambda: readiness(server) == f"{bundle}: loading\n", "the load never begins")
        for each in children(server.process.pid) - set(server.workers):
            os.kill(each, signal.SIGKILL)
        wait_until(lambda: "its load was killed; 'k0rdentd load' goes on with it" in readiness(server), "not told")
        shown = httpx.get(f"{server.url}/metrics").text
        assert f'k0rdentd_load_state{{bundle="{bundle}",state="killed"}} 1' in shown
        assert "the load of the bundle was killed (SIGKILL)" in server.log.read_text()
        assert k0rdentd("load", bundle, "-s", root).returncode == 0
        assert readiness(server) == "ready\n"


def test_blobs_that_somebody_took_away_can_be_loaded_again(tmp_path: Path) -> None:
    bundle, root = tmp_path / "b.tar", tmp_path / "s"
    write_bundle(BundleSpec(size=3_500_000), bundle, "tar")
    assert k0rdentd("load", bundle, "-s", root).returncode == 0
    (root / "blobs").rename(tmp_path / "elsewhere")
    assert k0rdentd("store", "gc", "-s", root).returncode == 0
    assert k0rdentd("store", "fsck", "-s", root).returncode == 1
    for folder in ("blobs", "uploads"):
        (root / folder).rmdir()
    assert k0rdentd("load", bundle, "-s", root).returncode == 0
    assert k0rdentd("store", "fsck", "-s", root).returncode == 0
