"""What a worker does with clients that are slow, hasty or malicious."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from registry.oci.digest import Digest
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.images import publish, small_image

LARGE = 6_000_000
GET = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def blob() -> dict[str, Digest]:
    return {}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, blob: dict[str, Digest]) -> Iterator[Server]:
    """One worker with two threads and little patience, and a large layer."""
    folder = tmp_path_factory.mktemp("worker")
    store = Store.open([folder / "store"])
    tree = small_image(size=LARGE)
    publish(store, tree, "app:1")
    blob["small"], blob["large"] = (Digest.parse(each.digest) for each in tree.below)
    store.close()
    few = ("--workers", "1", "--threads", "2", "--idle-timeout", "2", "--push", "anonymous")
    with serving("-s", folder / "store", *few, log=folder / "log") as running:
        yield running


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(1 << 20), b""))


def test_a_hundred_slow_downloads_hold_no_thread(server: Server, blob: dict[str, Digest]) -> None:
    """With two threads, the third of them would stop everybody."""
    with ExitStack() as stack:
        slow = []
        for _ in range(100):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            client.settimeout(10)
            client.connect(("127.0.0.1", server.port))
            client.sendall(GET.format(f"/v2/app/blobs/{blob['large']}").encode())
            slow.append(client)
        heads = [client.recv(1000) for client in slow]
        assert all(head.startswith(b"HTTP/1.1 200 ") for head in heads)
        assert httpx.get(f"{server.url}/v2/app/manifests/1").status_code == 200
        assert httpx.get(f"{server.url}/v2/_catalog").json() == {"repositories": ["app"]}
        body = heads[0].partition(b"\r\n\r\n")[2]
        while len(body) < LARGE and (piece := slow[0].recv(1 << 20)):
            body += piece
        assert Digest.of(body) == blob["large"]


@pytest.mark.parametrize("size", ["small", "large"])
def test_what_is_not_in_the_page_cache_is_sent_as_well(server: Server, blob: dict[str, Digest], size: str) -> None:
    (path,) = (Path(server.log).parent / "store" / "blobs").rglob(blob[size].hex)
    for _ in range(3):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert Digest.of(httpx.get(f"{server.url}/v2/app/blobs/{blob[size]}").content) == blob[size]


@pytest.mark.parametrize("then", ["stays", "ends"])
def test_requests_in_one_packet_are_answered_in_order(server: Server, blob: dict[str, Digest], then: str) -> None:
    with connect(server) as client:
        paths = ["/v2/", "/v2/app/manifests/1", f"/v2/app/blobs/{blob['large']}", "/v2/_catalog", "/v2/app/tags/list"]
        asked = "".join(GET.format(path) for path in paths)
        client.sendall(asked.encode() + b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if then == "ends":
            client.shutdown(socket.SHUT_WR)
        answers = read_all(client)
    assert answers.count(b"HTTP/1.1 200 OK") == 6
    assert answers.index(b'"repositories"') < answers.index(b'"tags"')


def test_a_request_behind_a_body_is_answered(server: Server) -> None:
    content = b"x" * 300_000
    with connect(server) as client:
        head = f"POST /v2/app/blobs/uploads/?digest={Digest.of(content)} HTTP/1.1\r\nHost: x\r\n"
        asked = f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content
        client.sendall(asked + b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = read_all(client)
    assert answers.startswith(b"HTTP/1.1 201 ")
    assert answers.endswith(b"\r\n\r\n{}")


def test_a_client_that_expects_100_gets_it(server: Server) -> None:
    with connect(server) as client:
        head = f"POST /v2/app/blobs/uploads/?digest={Digest.of(b'abc')} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        client.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert client.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_head_that_trickles_in_is_cut_off(server: Server) -> None:
    """Each byte comes in time, all of them never do."""
    with connect(server) as client:
        client.sendall(b"GET /v2/ HTTP/1.1\r\n")
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011  # a reset or a broken pipe, as the packets fall
            while True:
                client.sendall(b"X")
                time.sleep(0.2)
                assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"GET /v2/ HTTP/9.9\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: the unexpected\r\n\r\n", 417),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_gets_a_document_and_the_end(server: Server, sent: bytes, status: int) -> None:
    before = server.log.read_text()
    with connect(server) as client:
        client.sendall(sent)
        answer = read_all(client)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b'{"errors":[{"code":"UNSUPPORTED"' in answer
    assert server.log.read_text() == before  # a scan of ports must not fill the disk


def test_a_head_without_an_end_is_refused(server: Server) -> None:
    with connect(server) as client:
        client.sendall(b"GET /v2/ HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)))
        assert client.recv(1000).startswith(b"HTTP/1.1 4")


def test_connections_are_spread_over_the_workers(tmp_path: Path) -> None:
    """Left to the kernel, the worker that waited first would get every one that comes while nobody is busy."""
    Store.open([tmp_path / "store"]).close()
    options = ("--workers", "2", "--push", "anonymous")
    with serving("-s", tmp_path / "store", *options, log=tmp_path / "log") as running, ExitStack() as stack:
        before = [_sockets(pid) for pid in running.workers]
        for _ in range(16):
            stack.enter_context(connect(running))
            time.sleep(0.03)
        counts = [_sockets(pid) - old for pid, old in zip(running.workers, before, strict=True)]
    assert min(counts) >= 4


def _sockets(pid: int) -> int:
    return sum(os.readlink(link).startswith("socket:") for link in Path(f"/proc/{pid}/fd").iterdir())
