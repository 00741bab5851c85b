"""k0s is unpacked onto a disk that is full, and by workers that are killed."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import httpx

from registry.storage.store import Store
from tests.conftest import serving
from tests.faults.processes import wait_until
from tests.faults.volume import Volume
from tests.images import publish
from tests.registry.storage.test_binaries import PLUS, REFERENCE, k0s, unpacked

BODY = os.urandom(8_000_000)


def filled(path: Path) -> Store:
    store = Store.open([path])
    publish(store, k0s(BODY), REFERENCE)
    store.close()
    return store


def test_a_full_disk_is_told_leaves_nothing_and_pulls_go_on(volume: Volume) -> None:
    store = filled(volume.store)
    with serving("-s", volume.store, "--workers", "2", log=volume.path.with_name("log")) as server:
        volume.fill(leaving=5_000_000)
        for _ in range(3):
            assert httpx.get(f"{server.url}/files/{PLUS}").status_code == 507
            assert httpx.get(f"{server.url}/v2/k0sproject/k0s/tags/list").status_code == 200
        assert unpacked(store) == []
        volume.ballast.unlink()
        assert httpx.get(f"{server.url}/files/{PLUS}").content == BODY


def test_killed_while_unpacking_it_is_whole_the_next_time(root: Path) -> None:
    store = filled(root)
    with serving("-s", root, "--workers", "1", log=root.with_suffix(".log")) as server:
        for _ in range(3):
            (worker,) = server.workers
            with suppress(httpx.TransportError):
                httpx.get(f"{server.url}/files/{PLUS}", timeout=0.01)
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda old=worker: server.workers not in ([], [old]), "no new worker")  # type: ignore[misc]
            whole = [path for path in unpacked(store) if not path.name.endswith(".partial")]
            assert all(path.stat().st_size == len(BODY) for path in whole)
            for path in whole:
                path.unlink()
        assert httpx.get(f"{server.url}/files/{PLUS}").content == BODY
    assert [path.read_bytes() for path in unpacked(store)] == [BODY]
