"""Pushes that break off, workers that are killed, a disk that is full: what was promised stays, nothing else does."""

import hashlib
import http.client
import itertools
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest

from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName
from registry.storage.errors import StorageFull
from registry.storage.store import Store
from registry.storage.upload_rows import all_uploads
from tests.conftest import Server, serving
from tests.e2e.content import sha256
from tests.e2e.pusher import SEED, Promised, Pusher

pytestmark = pytest.mark.slow

THREADS = 16
SECONDS = float(os.environ.get("STORM_SECONDS", "8"))
MIB = 1024 * 1024
GIB = 1024 * MIB
ALLOWED_MEMORY_KB = 100_000
PUSHING = ("--push", "anonymous")


@dataclass(frozen=True)
class Aftermath:
    """A store after the storm, with what the clients were promised."""

    root: Path
    promised: list[Promised]
    kills: int


def kill_workers(server: Server, deadline: float) -> int:
    """One at a time, as soon as the arbiter has made another of the last; returns how many."""
    chance, kills, pause = random.Random(SEED), 0, threading.Event()
    while time.monotonic() < deadline:
        if len(workers := server.workers) == 2:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                kills += 1
        pause.wait(chance.uniform(0.2, 0.8))
    return kills


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Sixteen clients against two workers that are killed, and then the whole registry."""
    folder = tmp_path_factory.mktemp("storm")
    with serving("-s", folder / "store", *PUSHING, "--workers", "2", log=folder / "log") as server:
        deadline = time.monotonic() + SECONDS
        with ThreadPoolExecutor(THREADS + 1) as pool:
            kills = pool.submit(kill_workers, server, deadline)
            pushes = [pool.submit(Pusher(server.port, number).push_until, deadline) for number in range(THREADS)]
        promised = [push.result() for push in pushes]
        os.killpg(server.process.pid, signal.SIGKILL)
    assert "Traceback" not in (folder / "log").read_text()
    return Aftermath(folder / "store", promised, kills.result())


@pytest.fixture
def restarted(aftermath: Aftermath, tmp_path: Path) -> Iterator[Server]:
    with serving("-s", aftermath.root, *PUSHING, log=tmp_path / "log") as server:
        yield server


def test_what_got_a_201_is_there_after_a_restart(aftermath: Aftermath, restarted: Server) -> None:
    assert aftermath.kills > 5, aftermath.kills
    assert sum(len(one.manifests) for one in aftermath.promised) > THREADS
    with httpx.Client(base_url=f"{restarted.url}/v2/") as client:
        for repository, digest in {blob for one in aftermath.promised for blob in one.blobs}:
            assert sha256(client.get(f"{repository}/blobs/{digest}").raise_for_status().content) == digest
        for one in aftermath.promised:
            for (repository, digest), body in one.manifests.items():
                assert client.get(f"{repository}/manifests/{digest}").raise_for_status().content == body


def test_a_session_that_was_left_tells_the_truth(aftermath: Aftermath, restarted: Server) -> None:
    left = {location: sizes for one in aftermath.promised for location, sizes in one.left.items()}
    assert left
    with httpx.Client(base_url=restarted.url) as client:
        for location, (acknowledged, sent) in left.items():
            last = int(client.get(location).raise_for_status().headers["Range"].removeprefix("0-"))
            assert max(acknowledged - 1, 0) <= last <= sent, location


def test_nothing_half_done_is_visible(aftermath: Aftermath) -> None:
    store = Store.open([aftermath.root], create=False)
    with store.snapshot() as snapshot:
        for name in snapshot.repositories():
            for tag, digest in snapshot.tags(name):
                manifest = snapshot.manifest(name, digest)
                assert manifest is not None, (name, tag)
                for blob in Manifest.parse(manifest.body, manifest.media_type).blobs:
                    stored = snapshot.linked_blob(name, blob.digest)
                    assert stored is not None, (name, tag, blob)
                    assert store.blobs.path(stored.root, blob.digest).stat().st_size == blob.size
    store.close()


def test_every_blob_on_the_disk_is_what_its_name_says(aftermath: Aftermath) -> None:
    for path in (aftermath.root / "blobs").glob("*/*/*"):
        assert sha256(path.read_bytes()) == f"{path.parts[-3]}:{path.name}"


def test_when_sessions_expire_no_file_and_no_row_is_left(aftermath: Aftermath, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(aftermath.root, copy)
    store = Store.open([copy], create=False)
    for path in (copy / "uploads").iterdir():
        os.utime(path, (0, 0))
    assert list(store.uploads.expire(3600))
    with store.snapshot() as snapshot:
        assert list(all_uploads(snapshot)) == []
    assert list((copy / "uploads").iterdir()) == []
    store.close()


BLOCK = random.Random(SEED).randbytes(MIB)


def huge_layer() -> Iterator[bytes]:
    """A GiB of which no two MiB are alike."""
    for number in range(GIB // MIB):
        yield number.to_bytes(8, "big") + BLOCK[8:]


@cache
def huge_digest() -> str:
    digest = hashlib.sha256()
    for block in huge_layer():
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def proc(process: int, file: str, key: str) -> int:
    """A number out of /proc."""
    lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def send(server: Server, method: str, path: str, *, length: bool) -> http.client.HTTPResponse:
    """The huge layer as a body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    header = {"Content-Length": str(GIB)} if length else {"Transfer-Encoding": "chunked"}
    connection.request(method, path, huge_layer(), header, encode_chunked=not length)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def push_in_one_request(server: Server) -> None:
    begun = httpx.post(f"{server.url}/v2/huge/blobs/uploads/")
    location = f"{begun.headers['Location']}?digest={huge_digest()}"
    assert send(server, "PUT", location, length=True).status == 201


def push_as_a_stream(server: Server) -> None:
    begun = httpx.post(f"{server.url}/v2/huge/blobs/uploads/")
    assert send(server, "PATCH", begun.headers["Location"], length=False).status == 202
    finished = httpx.put(f"{server.url}{begun.headers['Location']}?digest={huge_digest()}", timeout=120)
    assert finished.status_code == 201


@pytest.mark.parametrize("push", [push_in_one_request, push_as_a_stream])
def test_a_gibibyte_is_written_once_read_never_and_held_in_little_memory(
    push: Callable[[Server], None], tmp_path: Path
) -> None:
    with serving("-s", tmp_path / "store", *PUSHING, "--workers", "1", log=tmp_path / "log") as server:
        (worker,) = server.workers
        before = {key: proc(worker, "io", key) for key in ("rchar", "wchar", "write_bytes")}
        push(server)
        spent = {key: proc(worker, "io", key) - count for key, count in before.items()}
        assert proc(worker, "status", "VmHWM") < ALLOWED_MEMORY_KB
    assert GIB <= spent["wchar"] < GIB + 8 * MIB
    assert spent["write_bytes"] < GIB + 8 * MIB
    assert spent["rchar"] < 8 * MIB  # what came over the socket is received, not read
    shutil.rmtree(tmp_path / "store")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size, which is gone at the end."""
    if os.geteuid() != 0:
        pytest.fail("a small disk has to be mounted: run these tests as root")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def push_blob(client: httpx.Client, body: bytes) -> httpx.Response:
    return client.post("/v2/disk/blobs/uploads/", params={"digest": sha256(body)}, content=body)


@pytest.mark.parametrize("in_a_session", [False, True])
def test_a_full_disk_refuses_pushes_serves_pulls_and_recovers(tmp_path: Path, *, in_a_session: bool) -> None:
    small, large = os.urandom(MIB), BLOCK * 100
    with (
        small_disk(tmp_path / "disk", "32m") as disk,
        serving("-s", disk / "store", *PUSHING, log=tmp_path / "log") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert push_blob(client, small).status_code == 201
        location = client.post("/v2/disk/blobs/uploads/").headers["Location"]
        refused = client.patch(location, content=large) if in_a_session else push_blob(client, large)
        assert (refused.status_code, "storage" in refused.text) == (507, True)
        assert client.get(f"/v2/disk/blobs/{sha256(small)}").content == small
        assert client.delete(location).status_code == 204
        assert list((disk / "store" / "uploads").iterdir()) == []
        assert push_blob(client, large[: 8 * MIB]).status_code == 201
    assert "no space left" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_bytes_are_given_back_where_not_even_the_index_can_be_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        store = Store.open([disk / "store"])
        uploads, name = store.uploads, RepositoryName.parse("disk")
        upload = uploads.start(name)
        with store.snapshot():  # a reader keeps the old pages of the index from being used again
            with pytest.raises(StorageFull):
                uploads.append(name, upload, itertools.repeat(BLOCK), None)
            with pytest.raises(StorageFull):
                for _ in range(1000):
                    uploads.start(name)
            with suppress(StorageFull):
                uploads.cancel(name, upload)
            assert not (disk / "store" / "uploads" / upload).exists()
        store.close()
