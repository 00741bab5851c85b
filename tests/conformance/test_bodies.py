"""Request bodies as bad networks and odd clients send them (RFC 9112 sections 6 to 8); never a 500."""

import random
import socket
import time

import pytest

from registry.oci.digest import Digest
from tests.conformance.repository import Repository, converse

CONTENT = random.Random(__name__).randbytes(3_000_000)
DIGEST = Digest.of(CONTENT)
BAD_CHUNKS = [
    b"",  # cut before the first
    b"5\r\nhel",  # in the first
    b"5\r\nhello\r\n",  # before the last
    b"5\r\nhello\r\n0\r\n",  # before its end
    b"x\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloworld\r\n0\r\n\r\n",
    b"5;hello\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"5 hello\r\n\r\n" + b"z" * 5000,
    b"\x00\xff" * 100,
]


def head(method: str, path: str, *headers: str) -> str:
    return "\n".join((f"{method} {path} HTTP/1.1", "Host: registry", *headers, "", ""))


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def standing_at(repository: Repository, location: str) -> int:
    """The offset that GET tells; no test here leaves an upload at one byte, which looks like none."""
    told = repository.get(location).headers["Range"]
    return 0 if told == "0-0" else int(told[2:]) + 1


@pytest.mark.parametrize("sent", [0, 2, 100_000, 2_999_999])
def test_a_body_shorter_than_its_length_is_no_success_and_get_tells_the_truth(
    repository: Repository, sent: int
) -> None:
    location = repository.start()
    lines = (f"Content-Length: {len(CONTENT)}", f"Content-Range: 0-{len(CONTENT) - 1}")
    answer = converse(repository.server, head("PATCH", location, *lines), CONTENT[:sent])
    assert answer == b"" or status(answer) == 400
    offset = standing_at(repository, location)
    assert offset <= sent
    assert repository.patch(location, CONTENT[offset:], offset).status_code == 202
    assert repository.finish(location, DIGEST).status_code == 201
    assert repository.get(f"blobs/{DIGEST}").content == CONTENT


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("sent", [0, 2_999_999])
def test_a_last_body_shorter_than_its_length_makes_no_blob(repository: Repository, method: str, sent: int) -> None:
    location = repository.start() if method == "PUT" else f"/v2/{repository.name}/blobs/uploads/"
    request = head(method, f"{location}?digest={Digest.of(CONTENT[:sent])}", f"Content-Length: {len(CONTENT)}")
    answer = converse(repository.server, request, CONTENT[:sent])
    assert answer == b"" or status(answer) == 400
    assert repository.status(f"blobs/{Digest.of(CONTENT[:sent])}") == 404
    assert repository.status(f"blobs/{DIGEST}") == 404


@pytest.mark.parametrize("body", BAD_CHUNKS)
@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_malformed_and_cut_chunks_are_the_clients_fault(repository: Repository, method: str, body: bytes) -> None:
    location = f"/v2/{repository.name}/blobs/uploads/" if method == "POST" else repository.start()
    digest = Digest.of(b"hello")
    answer = converse(
        repository.server, head(method, f"{location}?digest={digest}", "Transfer-Encoding: chunked"), body
    )
    assert answer == b"" or status(answer) == 400, answer
    assert repository.status(f"blobs/{digest}") == 404
    if method == "PATCH":
        offset = standing_at(repository, location)
        assert repository.patch(location, b"hello"[offset:], offset).status_code == 202
        assert repository.finish(location, digest).status_code == 201


@pytest.mark.parametrize("body", BAD_CHUNKS)
def test_a_manifest_in_malformed_chunks_is_refused(repository: Repository, body: bytes) -> None:
    request = head("PUT", f"/v2/{repository.name}/manifests/1", "Transfer-Encoding: chunked")
    answer = converse(repository.server, request, body)
    assert answer == b"" or status(answer) == 400
    assert repository.status("manifests/1") == 404


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: x",),
        ("Content-Length: -1",),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: nonsense",),
        ("Content-Length: 1_0",),
    ],
)
def test_a_length_that_can_be_read_in_two_ways_is_refused(repository: Repository, lines: tuple[str, ...]) -> None:
    location = repository.start()
    answer = converse(repository.server, head("PATCH", location, *lines), b"5\r\nhello\r\n0\r\n\r\n")
    assert status(answer) in (400, 501)
    assert standing_at(repository, location) == 0


@pytest.mark.parametrize("sends", ["with a length", "in chunks"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("PATCH blobs/uploads/00000000-0000-4000-8000-000000000000", "404 BLOB_UPLOAD_UNKNOWN"),
        ("PUT manifests/latest", "413 SIZE_INVALID"),
        ("PUT blobs/uploads/", "405 UNSUPPORTED"),
        ("POST nowhere", "404 UNSUPPORTED"),
        ("POST blobs/uploads/?digest=none", "400 DIGEST_INVALID"),
    ],
)
def test_a_client_that_sends_50_mb_in_vain_sees_why(
    repository: Repository, path: str, expected: str, sends: str
) -> None:
    method, path = path.split()
    length = "Content-Length: 50000000" if sends == "with a length" else "Transfer-Encoding: chunked"
    body = bytes(50_000_000)
    if sends == "in chunks":
        body = b"2faf080\r\n" + body + b"\r\n0\r\n\r\n"
    # A client that writes all before it reads: it must not meet a closed connection.
    request = head(method, f"/v2/{repository.name}/{path}", length, "Connection: close")
    answer = converse(repository.server, request, body, hang_up=False)
    wanted, code = expected.split()
    assert status(answer) == int(wanted)
    assert f'"{code}"'.encode() in answer


def test_a_connection_is_as_good_as_new_after_a_refused_body(repository: Repository) -> None:
    for _ in range(3):
        for path in ("blobs/uploads/x", "blobs/uploads/x?digest=none"):
            assert repository.request("PUT", path, content=CONTENT).status_code in (400, 404)
        assert repository.get("/v2/").status_code == 200
    repository.push_blob(CONTENT)


def test_who_expects_a_100_gets_it_before_the_body(repository: Repository) -> None:
    location = repository.start()
    with socket.create_connection(("127.0.0.1", repository.server.port), timeout=10) as connection:
        lines = ("Content-Length: 5", "Expect: 100-continue", "Connection: close")
        connection.sendall(
            head("PUT", f"{location}?digest={Digest.of(b'hello')}", *lines).replace("\n", "\r\n").encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"hello")
        assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_body_that_comes_byte_by_byte_is_whole(repository: Repository) -> None:
    location = repository.start()
    request = head("PATCH", location, "Transfer-Encoding: chunked", "Connection: close").replace("\n", "\r\n").encode()
    with socket.create_connection(("127.0.0.1", repository.server.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n":
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")
    assert repository.finish(location, Digest.of(b"hello world")).status_code == 201


@pytest.mark.parametrize("length", [5000, 100_000])
def test_a_request_line_that_is_too_long_is_a_4xx(repository: Repository, length: int) -> None:
    request = head("PUT", f"/v2/{repository.name}/manifests/{DIGEST}?tag={'a' * length}", "Content-Length: 0")
    assert 400 <= status(converse(repository.server, request)) < 500
