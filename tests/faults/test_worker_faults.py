"""What one hostile client could do to a worker, and so to everybody else."""

import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from registry.oci.digest import Digest
from registry.server.answer import Answer
from registry.server.application import DRAIN_SECONDS
from registry.server.connection import Connection
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.faults.processes import peak_memory, wait_until
from tests.faults.stress import Exchange, Wanted, digest_of, request
from tests.faults.test_worker_stress import descriptors, spent
from tests.images import publish, small_image

RESET = struct.pack("ii", 1, 0)
MIB = 1024 * 1024
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One worker with one thread for answers and four for bodies."""
    yield from one_worker(tmp_path, "--push", "anonymous")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Server]:
    """The same, but nobody may push."""
    yield from one_worker(tmp_path, "--push", "off")


def one_worker(folder: Path, *options: str) -> Iterator[Server]:
    store = Store.open([folder / "store"])
    publish(store, small_image(), "app:1")
    store.close()
    few = ("--workers", "1", "--threads", "1", "--idle-timeout", "10")
    with serving("-s", folder / "store", *few, *options, log=folder / "log") as running:
        yield running
    assert "Traceback" not in running.log.read_text()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def status(server: Server, path: str) -> int:
    return httpx.get(server.url + path, timeout=20).status_code


def test_what_stands_behind_a_last_request_is_never_done(server: Server) -> None:
    last = request("GET /v2/app/manifests/1", "Connection: close")
    with connect(server) as client:
        client.sendall(last + request("DELETE /v2/app/manifests/1"))
        assert client.recv(MIB).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"more")
        time.sleep(0.5)
    assert status(server, "/v2/app/manifests/1") == 200


def test_requests_without_end_are_not_heaped_up(server: Server) -> None:
    """While a worker answers those that it has, the others stay with the kernel."""
    count = 50_000
    assert status(server, "/v2/app/manifests/1") == 200
    before = peak_memory(server.workers[0])
    wanted = Wanted(request("HEAD /v2/app/manifests/1"), 200, has_body=False)
    with connect(server) as client:
        exchange = Exchange(client, wanted.sent * count)
        for _ in range(count):
            exchange.check(wanted)
    assert peak_memory(server.workers[0]) - before < 10 * MIB


@pytest.mark.slow
def test_who_resets_while_greeting_is_forgotten(server: Server) -> None:
    """A worker that counts clients who are gone listens no more one day, and waits for them when it stops."""
    worker = server.workers[0]
    os.kill(worker, signal.SIGSTOP)
    for _ in range(20):
        with connect(server) as client:
            client.sendall(HELLO)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    os.kill(worker, signal.SIGCONT)
    assert status(server, "/healthz") == 200
    time.sleep(1)
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DRAIN_SECONDS + 10) == 0
    assert time.monotonic() - begun < DRAIN_SECONDS / 2


def test_a_worker_without_a_descriptor_left_rests_and_recovers(server: Server) -> None:
    worker = server.workers[0]
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    assert status(server, "/healthz") == 200
    wait_until(lambda: len(descriptors(worker)) > 5, "it has not started")
    highest = max(int(link.name) for link in Path(f"/proc/{worker}/fd").iterdir())
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (highest + 4, before[1]))
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(connect(server))
        time.sleep(0.5)
        used = spent(worker)
        time.sleep(1.5)
        assert spent(worker) - used < 0.5, "it turns in circles"
    assert status(server, "/healthz") == 200


def test_who_sends_a_body_slowly_keeps_nobody_from_pulling(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(connect(server))
            digest = digest_of(b"x" * 100)
            client.sendall(request(f"POST /v2/app/blobs/uploads/?digest={digest}", "Content-Length: 100", body=b"x"))
        time.sleep(0.5)
        for path in ("/v2/", "/healthz", "/readyz", "/v2/app/manifests/1", "/v2/app/tags/list", "/v2/_catalog"):
            assert status(server, path) == 200


@pytest.mark.slow
def test_a_body_that_nobody_wants_is_not_waited_for(closed: Server) -> None:
    """Who may not push could hold a thread for days, with a byte a second."""
    with connect(closed) as client:
        client.sendall(request("PUT /v2/app/manifests/2", "Content-Length: 100000"))
        client.settimeout(0.2)
        for _ in range(60):
            client.sendall(b"x")
            try:
                answer = client.recv(1000)
            except TimeoutError:
                continue
            assert answer.startswith(b"HTTP/1.1 403 ")
            return
    pytest.fail("it is waited for")


def test_an_answer_that_is_sent_has_nothing_left_on_the_disk(tmp_path: Path) -> None:
    """Else the end of a file that left the page cache would go from loop to thread and back for ever."""
    path = tmp_path / "blob"
    path.write_bytes(bytes(MIB))
    ours, theirs = socket.socketpair()
    with ours, theirs, path.open("rb") as file:
        listener = socket.create_server(("127.0.0.1", 0))
        with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            connection = Connection(accepted, ("127.0.0.1", 1), 0)
            connection.answer = Answer(closes=False)
            connection.answer.file, connection.answer.end = file, MIB
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            connection.answer.offset = MIB
            assert not connection.is_cold()


def test_a_file_that_shrinks_while_it_is_sent_ends_its_connection_alone(server: Server, tmp_path: Path) -> None:
    content = os.urandom(24 * MIB)
    digest = Digest.of(content)
    sent = request(f"POST /v2/app/blobs/uploads/?digest={digest}", f"Content-Length: {len(content)}", body=content)
    with connect(server) as client:
        client.sendall(sent)
        assert client.recv(1000).startswith(b"HTTP/1.1 201 ")
    (path,) = (tmp_path / "store" / "blobs").rglob(digest.hex)
    with connect(server) as client:
        client.sendall(request(f"GET /v2/app/blobs/{digest}"))
        client.recv(1000)
        os.truncate(path, 10)
        count = 0
        while piece := client.recv(MIB):
            count += len(piece)
        assert count < len(content)
    assert status(server, "/v2/app/manifests/1") == 200
