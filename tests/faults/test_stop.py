"""The end of a registry: what is under way finishes, nothing new begins, nobody stays behind."""

import hashlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from registry.oci.digest import Digest
from registry.server.application import DRAIN_SECONDS
from registry.storage.store import Store
from tests.conftest import Server, free_port, listing, serving
from tests.faults.processes import alive, children, kill_session, start, wait_until
from tests.faults.pulling import Puller
from tests.images import publish, small_image

Kill = Callable[[int, int], None]
Stored = tuple[Path, Digest]
LAYER = 12_000_000
PIECE = 256 * 1024


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A store, and the digest of a large layer in it."""
    root = tmp_path_factory.mktemp("stop") / "store"
    store = Store.open([root])
    tree = small_image(size=LAYER)
    publish(store, tree, "app:1")
    store.close()
    return root, Digest.parse(tree.below[1].digest)


@contextmanager
def slow_download(server: Server, digest: Digest) -> Iterator[Iterator[bytes]]:
    """A client that takes a piece when it is asked to; the kernel holds no more than a few of them for it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        client.settimeout(20)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield iter(lambda: client.recv(PIECE), b"")


def body_of(pieces: Iterator[bytes], first: bytes, size: int, pause: float) -> bytes:
    """The rest of an answer, slowly."""
    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: %d" % size in head.lower()
    while len(body) < size and (piece := next(pieces, b"")):
        body += piece
        time.sleep(pause)
    return body


def refuses(server: Server) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", server.port)) != 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kill", "stop"),
    [(os.kill, signal.SIGTERM), (os.kill, signal.SIGINT), (os.killpg, signal.SIGINT)],
    ids=["SIGTERM", "SIGINT", "Ctrl-C"],
)
def test_a_stop_lets_a_slow_download_finish(stored: Stored, tmp_path: Path, kill: Kill, stop: signal.Signals) -> None:
    root, digest = stored
    size = next((root / "blobs").rglob(digest.hex)).stat().st_size
    with serving("-s", root, "--workers", "2", log=tmp_path / "log") as server:
        with slow_download(server, digest) as pieces:
            first = next(pieces)
            kill(server.process.pid, stop)
            stopped = time.monotonic()
            assert hashlib.sha256(body_of(pieces, first, size, 0.008)).hexdigest() == digest.hex
        assert server.process.wait(DRAIN_SECONDS) == 0
        assert time.monotonic() - stopped < DRAIN_SECONDS / 2
    assert not alive(server.process.pid)
    assert "Traceback" not in server.log.read_text()


def test_a_stop_refuses_new_connections_while_a_download_finishes(stored: Stored, tmp_path: Path) -> None:
    """One that is accepted and never answered keeps a client from trying again."""
    root, digest = stored
    with serving("-s", root, "--workers", "2", log=tmp_path / "log") as server, slow_download(server, digest) as pieces:
        assert next(pieces)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(server), "new connections are accepted", 2)
        assert server.process.poll() is None
        for _ in pieces:
            continue


@pytest.mark.slow
def test_a_client_that_only_stays_connected_does_not_delay_a_stop(stored: Stored, tmp_path: Path) -> None:
    with serving("-s", stored[0], "--workers", "1", log=tmp_path / "log") as server:
        with httpx.Client(base_url=server.url) as client, socket.create_connection(("127.0.0.1", server.port)):
            client.get("/v2/").raise_for_status()
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(DRAIN_SECONDS) == 0
        assert time.monotonic() - started < 10


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_while_it_starts_stops(stored: Stored, tmp_path: Path) -> None:
    """Else a stop right after a start waits for the whole drain time."""
    with serving("-s", stored[0], "--workers", "1", log=tmp_path / "log") as server:
        for _ in range(8):
            worker = respawned(server)
            os.kill(worker, signal.SIGTERM)
            wait_until(partial(is_no_child, worker, server), "a stopped worker lives on", 5)


def respawned(server: Server) -> int:
    """Kill the worker, and catch the next one at its birth."""
    (old,) = children(server.process.pid)
    os.kill(old, signal.SIGKILL)
    while not (new := children(server.process.pid) - {old}):
        pass  # any pause would miss the moment
    return new.pop()


def is_no_child(process: int, server: Server) -> bool:
    new = children(server.process.pid)
    return process not in new and len(new) == 1


def test_a_stop_takes_the_loader_along_and_a_new_start_goes_on(large_bundle: Path, root: Path, tmp_path: Path) -> None:
    arguments = ("-s", root, "-b", large_bundle, "--workers", "1")
    with serving(*arguments, log=tmp_path / "log") as server:
        wait_until(lambda: any((root / "uploads").glob("*")), "nothing is loaded")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DRAIN_SECONDS) == 0
        wait_until(lambda: not alive(server.process.pid), "the loader lives on", 5)
    assert "leaked" not in server.log.read_text()
    with serving(*arguments, log=tmp_path / "again", wait_for="/readyz") as server, Puller(server) as puller:
        assert puller.pull_all() == listing(root)


@pytest.mark.slow
def test_a_registry_that_was_killed_leaves_nobody_and_starts_again(
    large_bundle: Path, root: Path, tmp_path: Path
) -> None:
    port = free_port()
    arguments = ("registry", "-H", "127.0.0.1", "-p", str(port), "-s", root, "-b", large_bundle, "--workers", "2")
    with (tmp_path / "log").open("ab") as log:
        killed = start(*arguments, output=log.fileno(), error=log.fileno())
        wait_until(lambda: any((root / "uploads").glob("*")), "nothing is loaded")
        killed.kill()
        killed.wait()
        wait_until(lambda: not alive(killed.pid), "workers or the loader live on")
        second = start(*arguments, output=log.fileno(), error=log.fileno())
    try:
        wait_until(lambda: is_ready(port), "it is never ready again", 30)
    finally:
        second.terminate()
        second.wait(DRAIN_SECONDS + 10)
        kill_session(second)
    assert listing(root)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
