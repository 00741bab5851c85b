"""What a client may ask for at most, and how long it may keep silent."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bench.layout import INDEX
from registry.oci.digest import Digest
from tests.conformance.repository import Repository, body_of, refused, slices
from tests.conftest import Server, serving

SIZE, UPLOADS, MANIFEST = 1_000_000, 3, 6_000_000


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Small blobs, few uploads, little patience."""
    folder = tmp_path_factory.mktemp("limited")
    options = (
        "--max-manifest-size",
        str(MANIFEST),
        "--max-blob-size",
        str(SIZE),
        "--max-uploads",
        str(UPLOADS),
        "--idle-timeout",
        "1",
        "--workers",
        "2",
    )
    with serving("-s", folder / "store", "--push", "anonymous", *options, log=folder / "log") as server:
        yield server


@pytest.fixture
def small(limited: Server, tmp_path: Path) -> Iterator[Repository]:
    with httpx.Client(base_url=limited.url, timeout=30) as client:
        yield Repository(limited, client, f"app/{tmp_path.name.lower().replace('_', '-').strip('-')}")


@pytest.mark.parametrize("sends", ["with a length", "in chunks"])
@pytest.mark.parametrize("size", [SIZE, SIZE + 1])
def test_a_blob_has_at_most_so_many_bytes(small: Repository, size: int, sends: str) -> None:
    content = os.urandom(size)
    digest = Digest.of(content)

    def answers() -> Iterator[httpx.Response]:
        yield small.request("POST", f"blobs/uploads/?digest={digest}", content=body())
        yield small.finish(location, digest, body())

    def body() -> bytes | Iterator[bytes]:
        return content if sends == "with a length" else slices(content, 65536)

    location = small.start()
    for answer in answers():
        if size == SIZE:
            assert answer.status_code == 201
        else:
            refused(answer, 413, "SIZE_INVALID")
            assert small.status(f"blobs/{digest}") == 404
    small.request("DELETE", location)


@pytest.mark.parametrize(("size", "status"), [(MANIFEST, 201), (MANIFEST + 1, 413)])
def test_a_manifest_has_at_most_as_many_bytes_as_the_operator_says(small: Repository, size: int, status: int) -> None:
    empty = body_of({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"a": ""}})
    body = empty.replace(b'""', b'"' + b"x" * (size - len(empty)) + b'"')
    assert len(body) == size
    answer = small.request("PUT", "manifests/large", content=body, headers={"Content-Type": INDEX})
    assert answer.status_code == status, answer.text
    assert (small.status("manifests/large") == 200) == (status == 201)


def test_the_limit_is_for_all_chunks_together(small: Repository) -> None:
    location = small.start()
    assert small.patch(location, bytes(SIZE - 10), 0).status_code == 202
    refused(small.patch(location, bytes(11), SIZE - 10), 413, "SIZE_INVALID")
    refused(small.patch(location, bytes(11)), 413, "SIZE_INVALID")
    refused(small.finish(location, Digest.of(bytes(SIZE + 1)), bytes(11)), 413, "SIZE_INVALID")
    assert small.get(location).headers["Range"] == f"0-{SIZE - 11}"
    assert small.finish(location, Digest.of(bytes(SIZE)), bytes(10)).status_code == 201


def test_so_many_uploads_may_be_open(small: Repository) -> None:
    locations = [small.start() for _ in range(UPLOADS)]
    for query in ("", f"?digest={Digest.of(b'x')}", f"?mount={Digest.of(os.urandom(9))}"):
        answer = small.request("POST", f"blobs/uploads/{query}", content=b"x")
        refused(answer, 429, "TOOMANYREQUESTS")
        assert int(answer.headers["Retry-After"]) > 0
    small.finish(locations[0], Digest.of(b"x"), b"x")
    small.finish(locations[1], Digest.of(b"x"), b"y")
    small.request("DELETE", locations[2])
    for location in [small.start() for _ in range(UPLOADS)]:
        assert small.request("DELETE", location).status_code == 204


def connect(server: Server, sent: str = "") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(sent.replace("\n", "\r\n").encode())
    return connection


def patch(location: str, more: str) -> str:
    return f"PATCH {location} HTTP/1.1\nHost: x\n{more}\n\n"


def test_a_client_that_falls_silent_in_its_head_is_cut_off(small: Repository) -> None:
    begun = time.monotonic()
    with ExitStack() as stack:
        for sent in ("", "GET /v2/ HT", "GET /v2/ HTTP/1.1\nHost: x\n"):
            silent = stack.enter_context(connect(small.server, sent))
            stack.callback(read_to_the_end, silent)
    assert time.monotonic() - begun < 6


def read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


@pytest.mark.parametrize("more", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_client_that_falls_silent_in_its_body_is_cut_off(small: Repository, more: str) -> None:
    location = small.start()
    begun = time.monotonic()
    with connect(small.server, patch(location, more)) as connection:
        connection.sendall(b"5\r\nhello\r\n")
        answer = connection.recv(1000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert time.monotonic() - begun < 8
        read_to_the_end(connection)
    assert small.request("DELETE", location).status_code == 204


@pytest.mark.slow
def test_a_slow_client_that_moves_is_served_to_its_end(small: Repository) -> None:
    location = small.start()
    with connect(small.server, patch(location, "Content-Length: 12")) as connection:
        for byte in b"hello world!":
            time.sleep(0.15)  # altogether far more than the second that is given to silence
            connection.sendall(bytes([byte]))
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert small.finish(location, Digest.of(b"hello world!")).status_code == 201


def test_silent_clients_keep_no_others_waiting(small: Repository) -> None:
    locations = [small.start() for _ in range(UPLOADS)]
    with ExitStack() as stack:
        for location in locations:
            stack.enter_context(connect(small.server, patch(location, "Content-Length: 9")))
        for _ in range(50):
            stack.enter_context(connect(small.server))
        begun = time.monotonic()
        assert small.get("/v2/").status_code == 200
        assert time.monotonic() - begun < 4.5  # a thread that waits for a first byte would be 5
    for location in locations:
        assert small.request("DELETE", location).status_code == 204


@pytest.mark.slow
def test_a_stop_does_not_wait_for_who_has_sent_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serving("-s", tmp_path / "store", "--push", "anonymous", log=tmp_path / "log") as server:
            stack.enter_context(connect(server))
            httpx.get(f"{server.url}/v2/").raise_for_status()
            begun = time.monotonic()
        assert time.monotonic() - begun < 20  # 30 s are given to who is in the middle of something


@pytest.mark.parametrize(("size", "answer"), [(SIZE + 1, "413 "), (5, "100 ")])
def test_a_client_that_asks_first_is_told_before_it_sends_too_much(small: Repository, size: int, answer: str) -> None:
    location = small.start()
    with connect(small.server, patch(location, f"Content-Length: {size}\nExpect: 100-continue")) as connection:
        assert connection.recv(13).decode() == f"HTTP/1.1 {answer}"
    small.request("DELETE", location)
