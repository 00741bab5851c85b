"""Uploads go on after the server, a worker or the client went away in the middle."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from registry.oci.digest import Digest
from tests.conformance.repository import Repository
from tests.conftest import Server, serving

CONTENT = random.Random(__name__).randbytes(24_000_000)
DIGEST = Digest.of(CONTENT)
HALF = len(CONTENT) // 2


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begin_patch(server: Server, location: str, content: bytes) -> socket.socket:
    """A PATCH of all of CONTENT that has come as far as `content`."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


def told(repository: Repository, location: str) -> int:
    answer = repository.request("GET", location, headers={"Connection": "close"})
    assert answer.status_code == 204
    return int(answer.headers["Range"][2:]) + 1


def go_on(repository: Repository, location: str) -> None:
    """From where GET says that the upload stands, to its end."""
    offset = told(repository, location)
    assert repository.patch(location, CONTENT[offset:], offset).status_code == 202
    assert repository.finish(location, DIGEST).status_code == 201
    assert repository.get(f"blobs/{DIGEST}").content == CONTENT


@pytest.mark.slow
def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    arguments = ("-s", tmp_path / "store", "--push", "anonymous", "--workers", "2")
    with (
        serving(*arguments, log=tmp_path / "first") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        repository = Repository(server, client, "app")
        location, whole = repository.start(), repository.start()
        assert repository.patch(location, CONTENT[:HALF], 0).status_code == 202
        assert repository.patch(whole, CONTENT, 0).status_code == 202
        repository.push_blob(b"finished")
    with (
        serving(*arguments, log=tmp_path / "second") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        repository = Repository(server, client, "app")
        assert told(repository, location) == HALF
        go_on(repository, location)
        assert repository.finish(whole, DIGEST).status_code == 201
        assert repository.get(f"blobs/{Digest.of(b'finished')}").content == b"finished"


@pytest.mark.parametrize("kill", ["all of them", "the one that writes"])
def test_an_upload_goes_on_after_a_worker_is_killed(tmp_path_factory: pytest.TempPathFactory, kill: str) -> None:
    folder = tmp_path_factory.mktemp("killed")
    arguments = ("-s", folder / "store", "--push", "anonymous", "--workers", "2")
    with (
        serving(*arguments, log=folder / "log") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        repository = Repository(server, client, "app")
        location = repository.start()
        with begin_patch(server, location, CONTENT[:HALF]):
            until(lambda: told(repository, location) > HALF // 2)
            for worker in workers_to_kill(server, location, kill):
                os.kill(worker, signal.SIGKILL)
                until(lambda gone=worker: not Path(f"/proc/{gone}").exists())  # type: ignore[misc]
            until(lambda: len(server.workers) == 2)
        client.close()
        with httpx.Client(base_url=server.url, timeout=30) as fresh:
            repository = Repository(server, fresh, "app")
            assert HALF // 2 < told(repository, location) <= HALF
            go_on(repository, location)


def workers_to_kill(server: Server, location: str, kill: str) -> list[int]:
    if kill == "all of them":
        return server.workers
    upload = location.rpartition("/")[2]
    return [
        worker
        for worker in server.workers
        if any(upload in os.readlink(link) for link in Path(f"/proc/{worker}/fd").iterdir() if link.is_symlink())
    ]


def test_an_upload_goes_on_after_the_client_vanished(repository: Repository) -> None:
    location = repository.start()
    begin_patch(repository.server, location, CONTENT[:HALF]).close()
    until(lambda: told(repository, location) == HALF and repository.patch(location, b"").status_code == 202)
    go_on(repository, location)


def test_a_cancelled_upload_ends_for_who_is_writing_to_it(repository: Repository) -> None:
    location = repository.start()
    with begin_patch(repository.server, location, CONTENT[:HALF]) as connection:
        until(lambda: told(repository, location) > 1)
        assert repository.request("DELETE", location).status_code == 204
        assert repository.request("GET", location).status_code == 404
        connection.sendall(CONTENT[HALF:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 404 ")
    assert repository.get(location).status_code == 404


def test_an_upload_cancelled_while_it_finishes_is_unknown(repository: Repository) -> None:
    location = repository.start()
    with socket.create_connection(("127.0.0.1", repository.server.port), timeout=10) as connection:
        head = f"PUT {location}?digest={DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        connection.sendall(head.encode() + CONTENT[:HALF])
        until(lambda: told(repository, location) > 1)
        assert repository.request("DELETE", location).status_code == 204
        connection.sendall(CONTENT[HALF:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 404 ")
    assert repository.status(f"blobs/{DIGEST}") == 404


def test_a_second_writer_is_told_to_come_back(repository: Repository) -> None:
    location = repository.start()
    with begin_patch(repository.server, location, CONTENT[:HALF]) as connection:
        until(lambda: told(repository, location) > 1)
        answer = repository.patch(location, b"x")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
        assert int(answer.headers["Retry-After"]) > 0
        assert repository.finish(location, DIGEST).status_code == 429
        connection.sendall(CONTENT[HALF:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert repository.finish(location, DIGEST).status_code == 201
