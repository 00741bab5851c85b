"""Acknowledged means on disk: in which order a worker calls the kernel before it says 201 (strace watches)."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest

from bench.layout import INDEX
from registry.oci.digest import Digest
from tests.conformance.repository import Repository
from tests.conftest import Server, serving
from tests.registry.server.test_wire import traced

CALLS = "fsync,fdatasync,msync,rename,renameat,renameat2,sendto,unlink"
PUSHING = ("--push", "anonymous")
TAGS = sorted(f"t{number}" for number in range(30))
SUBJECT = Digest.of(b"nobody")


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with (
        serving("-s", tmp_path / "store", *PUSHING, "--workers", "1", log=tmp_path / "log") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield Repository(server, client, "app")


@contextmanager
def calls(server: Server, output: Path) -> Iterator[list[str]]:
    """Names of the calls that succeeded, with the paths of their files, in the order in which they returned."""
    found: list[str] = []
    with traced(server.workers[0], output, CALLS, "-y"):
        yield found
    pending: dict[str, str] = {}
    for line in output.read_text().splitlines():
        process, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            pending[process] = call
        else:
            found.append(pending.pop(process, "") + call.strip())


def position(found: list[str], pattern: str) -> int:
    places = [number for number, call in enumerate(found) if re.search(pattern, call)]
    assert places, f"no {pattern} in\n" + "\n".join(found)
    return places[0]


@pytest.mark.client
@pytest.mark.parametrize("way", ["one request", "a session"])
def test_a_blob_is_on_disk_before_its_201(repository: Repository, tmp_path: Path, way: str) -> None:
    content = os.urandom(100_000)
    digest = Digest.of(content)
    location = repository.start()
    if way == "a session":
        assert repository.patch(location, content).status_code == 202
    with calls(repository.server, tmp_path / "trace") as found:
        answer = repository.finish(location, digest, content if way == "one request" else b"")
        assert answer.status_code == 201
    durable = position(found, r"^f(data)?sync\(\d+<.*/uploads/")
    renamed = position(found, rf"^rename\w*\(.*blobs/sha256/{digest.hex[:2]}/{digest.hex}")
    folder = position(found, rf"^fsync\(\d+<.*blobs/sha256/{digest.hex[:2]}>\)")
    named = position(found[renamed:], r"^(f(data)?sync|msync)\(.*(data\.mdb|0x)") + renamed
    told = position(found, r"^sendto\(.*HTTP/1\.1 201 ")
    assert durable < renamed < folder < named < told


@pytest.mark.client
def test_a_manifest_is_on_disk_before_its_201(repository: Repository, tmp_path: Path) -> None:
    document = orjson.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    with calls(repository.server, tmp_path / "trace") as found:
        answer = repository.request("PUT", "manifests/1", content=document, headers={"Content-Type": INDEX})
        assert answer.status_code == 201, answer.text
    assert position(found, r"^(f(data)?sync|msync)\(.*(data\.mdb|0x)") < position(found, r"^sendto\(.*HTTP/1\.1 201 ")


@pytest.mark.slow
def test_a_manifest_its_tags_and_its_referrer_come_together_or_not_at_all(tmp_path: Path) -> None:
    """One transaction: whenever the worker is killed, a manifest has all 30 tags and its subject knows it, or none."""
    chance = random.Random(7)
    with (
        serving("-s", tmp_path / "store", *PUSHING, "--workers", "1", log=tmp_path / "log") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        started = time.monotonic()
        assert all(is_put(client, number) for number in range(-10, 0))
        usual = (time.monotonic() - started) / 10
        seen = {True: 0, False: 0}
        for number in range(200):
            killer = threading.Timer(chance.uniform(0, 3 * usual), kill_workers, [server])
            killer.start()
            told = is_put(client, number)
            killer.join()
            there = state(client, number)
            assert there in ((TAGS, True), ([], False))
            assert there[1] or not told
            seen[told] += 1
            if min(seen.values()) > 10:
                break
    assert min(seen.values()) > 3, "it was never, or always, killed in between"


def document(number: int) -> bytes:
    about = {"mediaType": INDEX, "digest": str(SUBJECT), "size": 6}
    return orjson.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": about, "number": number})


def is_put(client: httpx.Client, number: int) -> bool:
    """Whether a manifest with all its tags was pushed, as far as the client was told."""
    body = document(number)
    target = f"/v2/app{number}/manifests/{Digest.of(body)}?" + "&".join(f"tag={tag}" for tag in TAGS)
    try:
        return client.put(target, content=body, headers={"Content-Type": INDEX}).status_code == 201
    except httpx.TransportError:
        return False


def state(client: httpx.Client, number: int) -> tuple[list[str], bool]:
    """The tags, and whether the manifest is there and is a referrer, which must agree."""
    prefix = f"/v2/app{number}"
    tags = patient(client, f"{prefix}/tags/list")
    referrers = patient(client, f"{prefix}/referrers/{SUBJECT}").json()["manifests"]
    is_there = patient(client, f"{prefix}/manifests/{Digest.of(document(number))}").status_code == 200
    assert is_there == bool(referrers)
    return (tags.json()["tags"] if tags.status_code == 200 else []), is_there


def patient(client: httpx.Client, path: str) -> httpx.Response:
    for _ in range(500):
        with suppress(httpx.TransportError):
            return client.get(path)
        time.sleep(0.01)
    pytest.fail(f"{path} is never answered")


def kill_workers(server: Server) -> None:
    for worker in server.workers:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
