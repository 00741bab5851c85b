"""Many clients at once, honest and not: no answer is wrong or lost, and afterwards nothing is left of them."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.faults.processes import wait_until
from tests.faults.stress import Stress
from tests.images import publish, small_image

SECONDS = float(os.environ.get("STRESS_SECONDS", "4"))
SEED = int(os.environ.get("STRESS_SEED", "1"))
LAYER = 5_000_000


@pytest.fixture
def blobs() -> list[bytes]:
    return []


@pytest.fixture
def server(tmp_path: Path, blobs: list[bytes]) -> Iterator[Server]:
    """Two workers, HTTPS and HTTP on one port, and an image of which the test knows all bytes."""
    store = Store.open([tmp_path / "store"])
    tree = small_image(size=LAYER)
    publish(store, tree, "app:1")
    store.close()
    blobs += [b"".join(blob.content) for blob in (tree.root, *tree.below)]
    options = ("--workers", "2", "--push", "anonymous", "--idle-timeout", "5", "--max-uploads", "1000")
    with serving("-s", tmp_path / "store", *options, log=tmp_path / "log") as running:
        wait_until(lambda: len(running.workers) == 2, "the second worker does not start")
        yield running


def descriptors(process: int) -> list[str]:
    links = (link for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink())
    return [os.readlink(link) for link in links]


def clients_of(server: Server) -> int:
    """Sockets and files of blobs that workers hold, beside the one on which each listens."""
    held = [name for worker in server.workers for name in descriptors(worker)]
    return sum("socket:" in name or "/blobs/" in name or "/uploads/" in name for name in held)


def spent(process: int) -> float:
    """CPU time in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_after_a_storm_nothing_was_wrong_and_nothing_is_left(server: Server, blobs: list[bytes]) -> None:
    workers, before = server.workers, clients_of(server)
    found = Stress(server, blobs[1:], blobs[0]).run(SECONDS, 16, random.Random(SEED).randrange(1 << 30))
    assert not found.faults
    assert found.answers > 20
    assert server.workers == workers, "a worker died"
    wait_until(lambda: clients_of(server) <= before, "connections stay behind", 15)
    used = sum(map(spent, workers))
    time.sleep(1)
    assert sum(map(spent, workers)) - used < 0.3, "a worker turns without anything to do"
    assert "Traceback" not in server.log.read_text()
