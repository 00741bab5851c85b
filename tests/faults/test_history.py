"""kill -9 of a registry that takes pushes: what was acknowledged has its record, and the chain holds."""

import os
import signal
import threading
from collections.abc import Sized
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import orjson

from bench.layout import INDEX
from registry.oci.digest import Digest
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage import history
from registry.storage.audit import audit
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.faults.processes import wait_until

CLIENTS = 4
ENOUGH = 25


def test_a_push_that_was_acknowledged_has_its_record_whenever_the_registry_is_killed(tmp_path: Path) -> None:
    root = tmp_path / "store"
    acknowledged: dict[Reference, Digest] = {}
    for run in range(2):
        options = ("-s", root, "--push", "anonymous", "--workers", "2")
        with serving(*options, log=tmp_path / "log") as server:
            clients = [
                threading.Thread(target=push_on, args=(server, f"run{run}/client{number}", acknowledged))
                for number in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            wait_until(partial(has_enough, acknowledged, len(acknowledged) + ENOUGH), "hardly anything is pushed", 60)
            os.killpg(server.process.pid, signal.SIGKILL)
            for client in clients:
                client.join()
    store = Store.open([root])
    with store.snapshot() as snapshot:
        told = {each.reference: each.digest for each in history.records(snapshot.rows)}
    assert acknowledged.items() <= told.items()
    found = audit(store)
    assert found.holds, found
    assert found.tags >= len(acknowledged) >= 2 * ENOUGH
    store.close()


def has_enough(acknowledged: Sized, enough: int) -> bool:
    return len(acknowledged) >= enough


def push_on(server: Server, name: str, acknowledged: dict[Reference, Digest]) -> None:
    """One new tag after the other, until nobody answers."""
    with httpx.Client(base_url=server.url) as client, suppress(httpx.TransportError):
        for number in range(100_000):
            document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"n": f"{number}"}}
            body = orjson.dumps(document)
            answer = client.put(f"/v2/{name}/manifests/{number}", content=body, headers={"Content-Type": INDEX})
            assert answer.status_code == 201, answer.text
            acknowledged[Reference(RepositoryName(name), Tag(number))] = Digest.of(body)
