"""The ledger of missing images while workers are killed and the disk is full: no request ever fails for it."""

import json
import os
import signal
from pathlib import Path

import httpx

from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, serving
from tests.faults.processes import wait_until
from tests.faults.volume import Volume


def counts(root: Path) -> dict[str, int]:
    shown = k0rdentd("store", "missing", "-s", root, "--json")
    assert shown.returncode == 0, shown.stderr
    return {each["repository"]: each["count"] for each in json.loads(shown.stdout)}


def ask(server: Server, name: str, times: int) -> None:
    for _ in range(times):
        assert httpx.get(f"{server.url}/v2/{name}/manifests/1").status_code == 404


def test_a_killed_worker_takes_only_its_last_seconds_with_it(root: Path) -> None:
    options = ("-s", root, "--push", "anonymous", "--workers", "2")
    with serving(*options, log=root.with_suffix(".log")) as server:
        ask(server, "a", 20)
        wait_until(lambda: counts(root) == {"a": 20}, "the ledger was not written")
        first = set(server.workers)
        for worker in first:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(set(server.workers) - first) == 2, "no new workers")
        wait_until(lambda: httpx.get(f"{server.url}/healthz").status_code == 200, "no worker answers")
        ask(server, "a", 5)
    assert counts(root) == {"a": 25}


def test_on_a_full_disk_every_answer_comes_and_the_counts_wait(volume: Volume) -> None:
    Store.open([volume.store]).close()
    log = volume.path.with_name("log")
    with serving("-s", volume.store, "--push", "anonymous", "--workers", "1", log=log) as server:
        volume.fill()
        assert volume.free == 0
        for number in range(100):  # more than fit into the pages that the index still has
            ask(server, f"{'long' * 50}/{number}", 1)
        ask(server, "a", 10)
        wait_until(lambda: "missing images cannot be written down" in log.read_text(), "nobody noticed")
        ask(server, "a", 10)
        volume.ballast.unlink()
        wait_until(lambda: counts(volume.store).get("a") == 20, "what waited was not written")
    assert "Traceback" not in log.read_text()
