"""The generator against real registries, and against a server that stalls."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from bench.errors import BenchFailed
from bench.listener import Server
from bench.peers import ours
from bench.sample import Sample
from bench.traffic.crew import beside, together
from bench.traffic.endpoint import Endpoint, Request
from bench.traffic.flood import flood
from bench.traffic.nodes import Limits, visit
from bench.traffic.paced import paced, percentile
from bench.traffic.pushes import push_images
from bench.traffic.script import CHUNK, Pulling, Wanted, blobs, pull
from registry.transfer.transport import Security

SAMPLE = Sample.make(huge=3_000_000, images=2)
MANIFEST, HEAD, _, SMALL, LARGE, BIG, _ = (target.request for target in SAMPLE.targets)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generator")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[Endpoint]:
    with ours(SAMPLE, folder) as url:
        yield Endpoint.parse(url)


@pytest.fixture(params=["http", "https"])
def endpoint(request: pytest.FixtureRequest, plain: Endpoint, folder: Path) -> Endpoint:
    security = Security(folder / "storage/pki/ca.crt")
    return plain if request.param == "http" else replace(plain, tls=True, security=security)


@pytest.mark.parametrize("asked", [MANIFEST, SMALL, LARGE])
def test_a_flood_counts_every_answer_and_byte(endpoint: Endpoint, asked: Request) -> None:
    found = flood(endpoint, asked, connections=3, seconds=0.2)
    assert found.answers > 3
    size = asked.size or 0
    assert found.answers * size <= found.bytes <= (found.answers + 3) * size
    assert found.share > 0


def test_a_head_has_no_body(plain: Endpoint) -> None:
    found = flood(plain, HEAD, connections=2, seconds=0.1)
    assert found.answers > 2
    assert found.bytes == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Request("GET", "/v2/no/manifests/such"), "answered with HTTP/1.1 404"),
        (replace(MANIFEST, size=7), "not 7"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_ends_the_measurement(
    plain: Endpoint, asked: Request, told: str
) -> None:
    with pytest.raises(BenchFailed, match=told):
        flood(plain, asked, connections=2, seconds=0.1)


def test_nobody_there_is_told() -> None:
    with pytest.raises(BenchFailed, match=r"cannot connect to 127\.0\.0\.1:1"):
        flood(Endpoint("127.0.0.1", 1), MANIFEST, connections=1, seconds=0.1)


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(BenchFailed, match="give http://HOST:PORT"):
        Endpoint.parse("localhost:5000")


def test_a_clock_asks_as_often_as_it_is_told(endpoint: Endpoint) -> None:
    found = paced(endpoint, [MANIFEST, SMALL], rate=200, connections=8, seconds=0.5)
    assert len(found.latencies) == 100
    assert found.kept_up


def test_what_waits_for_a_stall_is_counted() -> None:
    """A closed loop would show one slow request of a hundred: the open one shows all that were due meanwhile."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=_stalling, args=(listener, 20, 0.5), daemon=True).start()
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
        found = paced(endpoint, [Request("GET", "/")], rate=100, connections=1, seconds=1.0)
    assert sum(latency > 0.1 for latency in found.latencies) >= 30


def _stalling(listener: socket.socket, after: int, seconds: float) -> None:
    connection, _ = listener.accept()
    with connection:
        count = 0
        while connection.recv(65536):
            count += 1
            time.sleep(seconds if count == after else 0)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("in_parts", [False, True])
def test_every_node_gets_every_image_and_shared_layers_once(endpoint: Endpoint, *, in_parts: bool) -> None:
    found = visit(endpoint, SAMPLE.wanted, 3, Pulling(in_parts))
    assert len(found.images) == 3 * len(SAMPLE.wanted)
    assert found.bytes == 3 * _bytes_of_a_node()


def _bytes_of_a_node() -> int:
    """Of each image the index and the first platform's manifest; of all of them each blob for that platform once."""
    needed = {digest: size for image in SAMPLE.fleet for digest, size in blobs(_parsed(image.documents[1][1].body))}
    documents = [document for image in SAMPLE.fleet for _, document in image.documents[:2]]
    return sum(len(document.body) for document in documents) + sum(needed.values())


def _parsed(body: bytes) -> dict[str, object]:
    document = orjson.loads(body)
    assert isinstance(document, dict)
    return document


def test_a_pull_asks_as_containerd_does() -> None:
    image = SAMPLE.fleet[0]
    script = pull(Wanted("library/x", "1"), Pulling(in_parts=True), set())
    [resolve] = next(script)
    assert (resolve.method, resolve.path) == ("HEAD", "/v2/library/x/manifests/1?ns=docker.io")
    script.send([b""])
    [child] = script.send([image.documents[0][1].body])
    assert str(image.documents[1][0]) in child.path
    parts = script.send([image.documents[1][1].body])
    assert all("?ns=docker.io" in part.path for part in parts)
    ranges = [part for part in parts if part.first is not None]
    assert sum(part.size or 0 for part in ranges) > 3 * CHUNK
    assert "Range: bytes=0-4194303" in ranges[0].wire(Endpoint("host", 1)).decode()


def test_nodes_heed_a_rate_and_a_time(plain: Endpoint) -> None:
    found = visit(plain, SAMPLE.wanted, 2, Pulling(), Limits(bytes_per_second=20_000_000, seconds=0.6))
    assert 0.5 < found.seconds < 3
    assert found.bytes < 2 * _bytes_of_a_node()


def test_pushes_are_counted_and_there(plain: Endpoint) -> None:
    count = push_images(plain, 0.3, 0)
    assert count > 0
    flood(plain, Request("HEAD", f"/v2/bench/pushed/manifests/0-{count - 1}"), connections=1, seconds=0.05)


def test_processes_that_serve_a_port_are_found(plain: Endpoint) -> None:
    server = Server.at(plain.port)
    before = server.cpu()
    flood(plain, SMALL, connections=4, seconds=0.3)
    assert len(server.pids) == 3
    assert server.cpu() > before
    assert server.memory() > 10_000_000


def test_a_process_that_makes_load_and_dies_is_told() -> None:
    def end() -> int:
        raise SystemExit(3)

    with pytest.raises(BenchFailed, match="ended with 3"):
        together([end])


def test_processes_are_gone_when_the_block_is_left() -> None:
    with beside([lambda: time.sleep(60)]) as crew:
        assert not crew.is_done


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert [percentile([1.0, 2.0, 3.0], share) for share in (0.01, 0.5, 0.99, 1)] == [1.0, 2.0, 3.0, 3.0]
