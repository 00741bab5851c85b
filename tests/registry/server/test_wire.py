"""What goes over the wire, and by which system call: watched from outside, with strace."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from registry.api.blobs import SENDFILE_FROM
from registry.oci.digest import Digest
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.images import publish, small_image

CALLS = "sendfile,sendto,write,writev,sendmsg"


@pytest.fixture
def one_worker(tmp_path: Path) -> Iterator[tuple[Server, dict[int, Digest]]]:
    """A registry with one worker, and a layer below and one above the limit for sendfile."""
    store = Store.open([tmp_path / "store"])
    layers = {}
    for number, size in enumerate((1000, 3_000_000)):
        tree = small_image(size=size)
        publish(store, tree, f"app:{number}")
        layers[size] = Digest.parse(tree.below[1].digest)
    store.close()
    with serving("-s", tmp_path / "store", "--workers", "1", log=tmp_path / "log") as server:
        yield server, layers


@contextmanager
def traced(process: int, output: Path, calls: str = CALLS, *options: str) -> Iterator[None]:
    """The system calls of a process and its threads, by default those by which it sends, written to `output`."""
    command = ["strace", "-f", "-e", f"trace={calls}", *options, "-o", str(output), "-p", str(process)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr is not None
        try:
            assert b"attached" in tracer.stderr.readline()
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


@pytest.mark.client
def test_a_large_blob_goes_by_sendfile(one_worker: tuple[Server, dict[int, Digest]], tmp_path: Path) -> None:
    server, layers = one_worker
    with traced(server.workers[0], tmp_path / "trace"):
        body = httpx.get(f"{server.url}/v2/app/blobs/{layers[3_000_000]}").content
    calls = (tmp_path / "trace").read_text()
    by_sendfile = sum(int(count) for count in re.findall(r"sendfile(?:\(| resumed).*= (\d+)$", calls, re.MULTILINE))
    assert len(body) >= SENDFILE_FROM
    assert by_sendfile == len(body)


@pytest.mark.client
@pytest.mark.parametrize("path", ["blobs/{layer}", "manifests/0"])
def test_a_small_answer_is_one_write(one_worker: tuple[Server, dict[int, Digest]], tmp_path: Path, path: str) -> None:
    server, layers = one_worker
    with traced(server.workers[0], tmp_path / "trace"):
        httpx.get(f"{server.url}/v2/app/{path.format(layer=layers[1000])}").raise_for_status()
    calls = (tmp_path / "trace").read_text()
    assert len(re.findall(r"HTTP/1\.1 200 OK", calls)) == 1
    assert len(re.findall(r"sendto\(", calls)) == 1
    assert "sendfile(" not in calls


def test_a_blob_file_that_is_too_short_closes_the_connection(
    one_worker: tuple[Server, dict[int, Digest]], tmp_path: Path
) -> None:
    server, layers = one_worker
    (path,) = (tmp_path / "store" / "blobs").rglob(layers[3_000_000].hex)
    os.truncate(path, 1_000_000)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{server.url}/v2/app/blobs/{layers[3_000_000]}")
    assert httpx.get(f"{server.url}/v2/app/manifests/0").status_code == 200


def test_a_blob_file_that_is_gone_is_a_500_without_a_traceback(
    one_worker: tuple[Server, dict[int, Digest]], tmp_path: Path
) -> None:
    server, layers = one_worker
    (path,) = (tmp_path / "store" / "blobs").rglob(layers[1000].hex)
    path.unlink()
    answer = httpx.get(f"{server.url}/v2/app/blobs/{layers[1000]}")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert layers[1000].hex in server.log.read_text()


def test_a_client_that_leaves_in_the_middle_harms_nobody(one_worker: tuple[Server, dict[int, Digest]]) -> None:
    server, layers = one_worker
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"GET /v2/app/blobs/{layers[3_000_000]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            client.recv(100)
    assert httpx.get(f"{server.url}/v2/app/manifests/0").status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_no_file_stays_open_after_its_answer(one_worker: tuple[Server, dict[int, Digest]]) -> None:
    server, layers = one_worker
    for _ in range(5):
        httpx.get(f"{server.url}/v2/app/blobs/{layers[3_000_000]}").raise_for_status()
    deadline = time.monotonic() + 5
    while open_blobs(server.workers[0]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_blobs(server.workers[0]) == []


def open_blobs(process: int) -> list[str]:
    links = [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()]
    return [link for link in links if "/blobs/" in link]
