"""What was answered before is answered again, and never after it became untrue."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gunicorn.config import Config

from registry.oci.digest import Digest
from registry.oci.reference import Reference, Tag
from registry.server.answer import Answer
from registry.server.memory import Memory
from registry.server.request import Received, Request
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.images import publish, small_image

LARGE = 300_000
BEARER = "Authorization: Bearer token\r\n"


@pytest.fixture
def blobs(store: Store) -> list[Digest]:
    """Of `app:1`, the small one first."""
    tree = small_image(size=LARGE)
    publish(store, tree, "app:1")
    return [Digest.parse(each.digest) for each in sorted(tree.below, key=lambda blob: blob.size)]


@pytest.fixture
def server(store: Store, blobs: list[Digest], tmp_path: Path) -> Iterator[Server]:
    with serving("-s", store.layout.root, "--workers", "1", "--access-log", log=tmp_path / "log") as running:
        yield running


def asked(memory: Memory, text: str, status: str = "200 OK") -> bool:
    """Whether it was known; it is answered, and offered to be remembered, if not."""
    received = text.encode()
    if memory.find(received) is not None:
        return True
    with socket.socket() as sock:
        request = Request(Config(), Received(sock, received), ("127.0.0.1", 1))
    answer = Answer(closes=request.should_close())
    answer.start(status, [])
    answer.finish([b"x" * 2000], bodiless=False)
    memory.keep(received, request, answer)
    return False


def get(path: str, more: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n"


def test_what_was_asked_is_known_until_the_index_changes(store: Store) -> None:
    memory = Memory(store.index.version)
    assert [asked(memory, get("/v2/a/manifests/1")) for _ in range(3)] == [False, True, True]
    publish(store, small_image(), "other:1")
    assert [asked(memory, get("/v2/a/manifests/1")) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (get("/readyz"), "200 OK"),
        (get("/v2/a/manifests/1", BEARER), "200 OK"),
        (get("/v2/a/manifests/1", "Connection: close\r\n"), "200 OK"),
        (get("/v2/a/manifests/1") + get("/v2/a/manifests/1"), "200 OK"),
        (get("/v2/a/manifests/1"), "404 Not Found"),
        (get("/v2/a/manifests/1", f"Cookie: {'x' * 5000}\r\n"), "200 OK"),
    ],
    ids=[
        "the registry's state",
        "credentials",
        "the last of its connection",
        "two at once",
        "a failure",
        "a long head",
    ],
)
def test_what_may_be_another_next_time_is_not_remembered(store: Store, text: str, status: str) -> None:
    memory = Memory(store.index.version)
    assert [asked(memory, text, status) for _ in range(2)] == [False, False]


def test_without_an_index_to_watch_nothing_is_remembered() -> None:
    memory = Memory(lambda: None)
    assert [asked(memory, get("/v2/a/manifests/1")) for _ in range(2)] == [False, False]


def test_the_oldest_make_room(store: Store) -> None:
    memory = Memory(store.index.version)
    for number in range(5000):
        asked(memory, get(f"/v2/a/manifests/{number}"))
    assert asked(memory, get("/v2/a/manifests/4999"))
    assert not asked(memory, get("/v2/a/manifests/0"))


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=10-"}], ids=["whole", "a part"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_given_again_is_the_same(
    server: Server, blobs: list[Digest], method: str, headers: dict[str, str]
) -> None:
    with httpx.Client(base_url=server.url, headers=headers) as client:
        for path in ("manifests/1", *(f"blobs/{digest}" for digest in blobs)):
            first, *others = (client.request(method, f"/v2/app/{path}") for _ in range(3))
            for other in others:
                assert other.status_code == first.status_code < 300
                assert other.content == first.content
                assert {**other.headers, "date": ""} == {**first.headers, "date": ""}


def test_a_change_is_seen_by_the_next_request(server: Server, store: Store) -> None:
    url, reference = f"{server.url}/v2/app/manifests/1", Reference.parse("app:1")
    with httpx.Client() as client:
        before = [client.get(url).headers["docker-content-digest"] for _ in range(3)]
        publish(store, small_image(), "app:1")
        after = [client.get(url).headers["docker-content-digest"] for _ in range(3)]
        assert len({*before, *after}) == 2
        store.delete_manifest(reference.repository, Tag("1"))
        assert client.get(url).status_code == 404


def test_a_blob_whose_file_is_gone_is_told_as_before(server: Server, store: Store, blobs: list[Digest]) -> None:
    url = f"{server.url}/v2/app/blobs/{blobs[-1]}"
    with httpx.Client() as client:
        assert [client.get(url).status_code for _ in range(2)] == [200, 200]
        next(store.layout.blobs.rglob(blobs[-1].hex)).unlink()
        assert client.get(url).status_code == 500


def test_what_is_answered_again_is_counted_and_logged(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(5):
            client.head("/v2/app/manifests/1")
        counted = client.get("/metrics").text
    assert 'k0rdentd_registry_requests_total{method="HEAD",route="manifests",status="200"} 5' in counted
    assert Path(server.log).read_text().count("HEAD /v2/app/manifests/1") == 5
