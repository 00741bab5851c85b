"""`/files/` over real HTTP: k0s for child clusters, from the store and from a directory."""

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import httpx
import pytest

from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, serving
from tests.images import publish
from tests.registry.server.test_wire import traced
from tests.registry.storage.test_binaries import REFERENCE, k0s

STORED = os.urandom(700_000)
OWN = os.urandom(200_000)
NAME = "k0s-v1.32.8+k0s.0-amd64"
SPELLINGS = [NAME, "k0s-v1.32.8-k0s.0-amd64", "k0s-v1.32.8%2Bk0s.0-amd64", "k0s-v1.32.8%2bk0s.0-amd64"]


@dataclass(frozen=True)
class Shelf:
    """A registry of three workers where reading is for users, with k0s in its store and a directory beside it."""

    server: Server
    client: httpx.Client
    folder: Path

    def get(self, name: str, **headers: str) -> httpx.Response:
        return self.client.get(f"/files/{name}", headers={key.replace("_", "-"): text for key, text in headers.items()})


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("files")
    store = Store.open([folder / "store"])
    publish(store, k0s(STORED), REFERENCE)
    store.close()
    (folder / "own").mkdir()
    (folder / "own" / "k0s-v1.35.1+k0s.1-amd64").write_bytes(OWN)
    (folder / "own" / "k0s-v1.35.1+k0s.1-amd64.sig").write_bytes(b"signature")
    (folder / "own" / "empty").touch()
    (folder / "secret").write_bytes(b"secret")
    (folder / "own" / "link").symlink_to("../secret")
    (folder / "own" / ".hidden").write_bytes(b"secret")
    hashed = bcrypt.hashpw(b"password", bcrypt.gensalt(4)).decode()
    (folder / "users").write_text(f"alice:{hashed}\n")
    options = ("-s", folder / "store", "--files", folder / "own", "--workers", "3")
    closed = ("--htpasswd", folder / "users", "--pull", "authenticated")
    with (
        serving(*options, *closed, log=folder / "log") as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
    ):
        yield Shelf(server, client, folder)
    assert "Traceback" not in server.log.read_text()


def test_the_first_ones_to_ask_all_get_the_whole_file(shelf: Shelf) -> None:
    def fetch(number: int) -> bytes:
        return httpx.get(f"{shelf.server.url}/files/{SPELLINGS[number % 4]}").content

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fetch, range(12))) == {STORED}


def test_the_log_names_what_is_left_out_once(shelf: Shelf) -> None:
    told = [line for line in shelf.server.log.read_text().splitlines() if "/files/ leaves out" in line]
    assert [line.partition("leaves out ")[2] for line in told] == [
        "'.hidden': it is hidden",
        "'link': it is a symbolic link",
    ]


@pytest.mark.parametrize("name", SPELLINGS)
def test_curl_gets_it_by_every_spelling_and_without_credentials(shelf: Shelf, name: str, tmp_path: Path) -> None:
    assert shelf.client.get("/v2/k0sproject/k0s/tags/list").status_code == 401
    command = ("curl", "-sSfL", f"{shelf.server.url}/files/{name}", "-o", tmp_path / "k0s")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "k0s").read_bytes() == STORED


@pytest.mark.client
def test_it_goes_by_sendfile(server: Server, tmp_path: Path) -> None:
    (name,) = httpx.get(f"{server.url}/files/").text.splitlines()
    size = int(httpx.head(f"{server.url}/files/{name}").headers["Content-Length"])
    sent = 0
    with traced(server.workers[0], tmp_path / "0"), traced(server.workers[1], tmp_path / "1"):
        httpx.get(f"{server.url}/files/{name}")
    for trace in ("0", "1"):
        calls = (tmp_path / trace).read_text()
        sent += sum(int(count) for count in re.findall(r"sendfile(?:\(| resumed).*= (\d+)$", calls, re.MULTILINE))
    assert sent == size


def test_curl_goes_on_with_half_a_file(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "k0s").write_bytes(STORED[:300_000])
    url = f"{shelf.server.url}/files/{NAME}"
    subprocess.run(("curl", "-sSf", "-C", "-", url, "-o", tmp_path / "k0s"), check=True)
    assert (tmp_path / "k0s").read_bytes() == STORED


@pytest.mark.parametrize("name", ["k0s-v1.35.1+k0s.1-amd64", "k0s-v1.35.1-k0s.1-amd64", "k0s-v1.35.1%2Bk0s.1-amd64"])
def test_the_directory_has_both_spellings_too(shelf: Shelf, name: str) -> None:
    assert shelf.get(name).content == OWN
    assert shelf.get(f"{name}.sig").content == b"signature"
    head = shelf.client.head(f"/files/{name}")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, str(len(OWN)), b"")


def test_an_empty_file_is_one(shelf: Shelf) -> None:
    assert (shelf.get("empty").status_code, shelf.get("empty").content) == (200, b"")
    assert shelf.get("empty", Range="bytes=0-1").status_code == 416


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-0", slice(0, 1)), ("bytes=1000-", slice(1000, None)), ("bytes=-5", slice(-5, None))],
)
def test_a_range_is_answered_with_that_part(shelf: Shelf, asked: str, part: slice) -> None:
    answer = shelf.get(NAME, Range=asked)
    assert answer.status_code == 206
    assert answer.content == STORED[part]
    first, last, size = map(int, re.findall(r"\d+", answer.headers["Content-Range"]))
    assert STORED[first : last + 1] == STORED[part]
    assert size == len(STORED)


def test_a_range_behind_the_end_is_refused_and_several_are_ignored(shelf: Shelf) -> None:
    refused = shelf.get(NAME, Range=f"bytes={len(STORED)}-")
    assert (refused.status_code, refused.headers["Content-Range"]) == (416, f"bytes */{len(STORED)}")
    assert shelf.get(NAME, Range="bytes=0-1,5-6").content == STORED


def test_who_has_it_already_gets_nothing_again(shelf: Shelf) -> None:
    fresh = shelf.get(NAME)
    etag, date = fresh.headers["ETag"], fresh.headers["Last-Modified"]
    assert fresh.headers["Accept-Ranges"] == "bytes"
    for headers in ({"If_None_Match": etag}, {"If_Modified_Since": date}, {"If_None_Match": "*"}):
        answer = shelf.get(NAME, **headers)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    old = "Mon, 01 Jan 2001 00:00:00 GMT"
    for headers in ({"If_None_Match": '"else"', "If_Modified_Since": date}, {"If_Modified_Since": old}):
        assert shelf.get(NAME, **headers).content == STORED
    for condition in (etag, date):
        assert shelf.get(NAME, Range="bytes=0-9", If_Range=condition).status_code == 206
    for condition in ('"else"', old, "noise", f"W/{etag}"):
        assert shelf.get(NAME, Range="bytes=0-9", If_Range=condition).content == STORED


@pytest.mark.parametrize(
    "path",
    [
        "link",
        ".hidden",
        "..",
        "%2e%2e/secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "own/empty",
        "x%00",
        "%ff",
        "a%0d%0ab",
    ],
)
def test_nothing_else_is_served(shelf: Shelf, path: str) -> None:
    command = ("curl", "-s", "--path-as-is", "-w", "%{http_code}", f"{shelf.server.url}/files/{path}")
    answer = subprocess.run(command, check=True, capture_output=True).stdout
    assert answer.endswith((b"404", b"400"))
    assert b"secret" not in answer


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_nothing_is_written(shelf: Shelf, method: str) -> None:
    for path in ("/files/", f"/files/{NAME}"):
        assert shelf.client.request(method, path, content=b"x").status_code == 405


@pytest.mark.parametrize("path", ["/files/", "/files"])
def test_an_operator_sees_what_there_is(shelf: Shelf, path: str) -> None:
    names = ["empty", NAME, "k0s-v1.35.1+k0s.1-amd64", "k0s-v1.35.1+k0s.1-amd64.sig"]
    text = shelf.client.get(path)
    assert text.text.splitlines() == names
    assert text.headers["Content-Type"].startswith("text/plain")
    shelf.get(NAME)
    listed = shelf.client.get(path, headers={"Accept": "application/json"}).json()["files"]
    assert [(each["name"], each["size"]) for each in listed] == list(
        zip(names, (0, len(STORED), len(OWN), len(b"signature")), strict=True)
    )


def test_a_bundle_brings_its_k0s(server: Server, tmp_path: Path) -> None:
    """The sample bundle's is a stub that tells its version."""
    (name,) = httpx.get(f"{server.url}/files/").text.splitlines()
    assert name == NAME
    (tmp_path / "k0s").write_bytes(httpx.get(f"{server.url}/files/{name}").content)
    (tmp_path / "k0s").chmod(0o755)
    shown = subprocess.run(("sh", tmp_path / "k0s"), capture_output=True, text=True, check=True)
    assert shown.stdout == "v1.32.8+k0s.0\n"


def test_a_directory_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    done = k0rdentd("registry", "-s", tmp_path / "store", "--push", "anonymous", "--files", tmp_path / "none")
    assert done.returncode == 2
    assert f"no directory at {tmp_path / 'none'}" in done.stderr
