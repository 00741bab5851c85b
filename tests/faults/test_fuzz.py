"""Requests that no client would send, from real sockets to real workers: always an answer, never a fault of ours.

FUZZ_EXAMPLES=100000 runs for long, and other examples each time; without it the examples are the same in every run.
"""

import base64
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.layout import CONFIG, INDEX, LAYER, MANIFEST
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.e2e.content import sha256
from tests.e2e.users import ALICE, write_htpasswd
from tests.images import publish, small_image

pytestmark = pytest.mark.slow

LONG = os.environ.get("FUZZ_EXAMPLES")
EXAMPLES = int(LONG or 600)
ANSWER_SECONDS = 5
MANY_FILES = 100
# 501 is right for a transfer coding that the server does not know (RFC 9112, 6.1).
FAULT = re.compile(rb"HTTP/1\.[01] 5(?!01 [^\0]*Unsupported transfer coding)")
DOCKER = "application/vnd.docker.distribution.manifest."
MEDIA_TYPES = (MANIFEST, INDEX, f"{DOCKER}v2+json", f"{DOCKER}list.v2+json", f"{DOCKER}v1+prettyjws", "text/plain", "")
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=LONG is None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# Pieces: what is right, what is nearly right, and what is nothing at all.

DIGEST = sha256(b"{}")
DIGESTS = (DIGEST, f"sha512:{'0' * 128}", "sha256:", "sha256:zz", DIGEST.upper(), "md5:00", ":", "sha256:../../x")
NAMES = ("library/app", "a", "UPPER", "a//b", "a" * 300, "..", "blobs/uploads", "manifests", "%00", "%2e%2e/%2e%2e")
WORDS = ("v2", "blobs", "manifests", "tags", "list", "referrers", "uploads", "_catalog", "token", "healthz", "readyz")
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get", "_", "a b")
NUMBERS = ("0", "1", "-1", "+1", "1_0", "\u0663", "9" * 30, "1e3", "", " 5", "0x10", "abc")
JUNK = st.one_of(st.text(max_size=40).map(quote), st.binary(max_size=40).map(quote), st.just("x" * 9000))
QUERIES = {
    "n": NUMBERS,
    "last": ("", "latest", "library/app", "%00", "%ff"),
    "digest": DIGESTS,
    "mount": DIGESTS,
    "from": NAMES,
    "tag": ("latest", "", ".bad", "x" * 200),
    "artifactType": (CONFIG, "a/b", ""),
    "digest-algorithm": ("sha256", "sha512", "md5", ""),
    "ns": ("quay.io",),
}
CREDENTIALS = (ALICE.credentials.encode(), b":", b"a", b"a:b", b"\xff:\xff", b"a:" + b"x" * 100, b"a:\0")
HEADERS = {
    "Range": ("bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-1", "bytes=0-0,2-3", "items=1", f"bytes={'9' * 30}-"),
    "Content-Range": ("0-4", "5-9", "0-", "4-0", "-", f"0-{'9' * 19}", f"{'9' * 30}-1", "bytes 0-4/5", "\u0663-\u0664"),
    "Content-Length": (*NUMBERS, "5", "5, 5", "5,6"),
    "Transfer-Encoding": ("chunked", "CHUNKED", "gzip", "chunked, chunked", "gzip, chunked", "identity", ""),
    "Accept": (*MEDIA_TYPES, "*/*", "a/b;q=x", ",,,"),
    "If-None-Match": ('"x"', "*", "W/", f'"{DIGEST}"', '"'),
    "If-Match": ('"x"', "*", ""),
    "If-Range": ('"x"', "Mon, 99 Foo", ""),
    "Authorization": (
        *("Basic", "Basic !", "Bearer", "Bearer .", "Bearer x.y", "Bearer e30.e30", "Digest a=b", ""),
        *(f"Basic {base64.b64encode(one).decode()}" for one in CREDENTIALS),
    ),
    "Host": ("localhost", "", "a b", "[::1", "x" * 300, "evil.example:80", '"><'),
    "Content-Type": MEDIA_TYPES,
    "Expect": ("100-continue", "x"),
    "Connection": ("close", "keep-alive", "upgrade"),
    "X-Forwarded-Proto": ("https", "x"),
    "Content-Encoding": ("gzip",),
}  # fmt: skip

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)
descriptors = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from([LAYER, CONFIG, MANIFEST, INDEX, ""]) | anything,
        "digest": st.sampled_from(DIGESTS) | anything,
        "size": st.sampled_from([2, 0, -1, 1 << 63, 1 << 200, 2.0, True]) | anything,
        "annotations": anything,
        "data": anything,
        "platform": anything,
        "urls": anything,
        "artifactType": anything,
    },
)
manifests = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.sampled_from([2, 1, "2", 2.0]) | anything,
        "mediaType": st.sampled_from(MEDIA_TYPES) | anything,
        "config": descriptors | anything,
        "layers": st.lists(descriptors, max_size=3) | anything,
        "manifests": st.lists(descriptors, max_size=3) | anything,
        "subject": descriptors | anything,
        "annotations": st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3) | anything,
        "artifactType": st.sampled_from([CONFIG, ""]) | anything,
    },
)
# Under short names: hypothesis prints what it drew.
LARGE = {
    b"LISTS": b"[" * 100_000,
    b"OBJECTS": b'{"a":' * 100_000,
    b"CONFIGS": b'{"config":' * 5_000 + b"{}" + b"}" * 5_000,
}
SOUND = json.dumps(
    {
        "schemaVersion": 2,
        "config": {"mediaType": CONFIG, "digest": DIGEST, "size": 2},
        "layers": [],
        "subject": {"mediaType": MANIFEST, "digest": DIGEST, "size": 2},
    }
).encode()
odd = st.sampled_from([*LARGE, SOUND, b"\xef\xbb\xbf{}", b"\x00", b"", b"{}"])
documents = odd | (manifests | anything).map(lambda document: json.dumps(document).encode())

digests, names, junk_values = st.sampled_from(DIGESTS), st.sampled_from(NAMES), st.binary(max_size=40)
paths = st.one_of(
    st.builds("/v2/{}/manifests/{}".format, names, digests | st.sampled_from(["latest", ".x", "x" * 200])),
    st.builds("/v2/{}/blobs/{}".format, names, digests),
    st.builds("/v2/{}/referrers/{}".format, names, digests),
    st.builds("/v2/{}/tags/list".format, names),
    st.builds("/v2/{}/blobs/uploads/{}".format, names, st.just("") | JUNK | st.just("SESSION")),
    st.lists(st.sampled_from(WORDS) | names | JUNK, max_size=6).map(lambda parts: "/" + "/".join(parts)),
    st.sampled_from(["/v2/_catalog", "/token", "/v2/", "/v2", "*", "//", "http://a/v2/"]),
    st.just("/v2/library/app/blobs/uploads/SESSION"),
)
queries = st.lists(
    st.sampled_from(sorted(QUERIES)).flatmap(
        lambda key: st.tuples(st.just(key), st.sampled_from(QUERIES[key]).map(quote) | JUNK)
    ),
    max_size=3,
).map(lambda pairs: "".join(f"{'&' if number else '?'}{k}={v}" for number, (k, v) in enumerate(pairs)))
headers = st.lists(
    st.sampled_from(sorted(HEADERS)).flatmap(
        lambda key: st.tuples(
            st.just(key.encode()), st.sampled_from(HEADERS[key]).map(lambda text: text.encode()) | junk_values
        )
    ),
    max_size=4,
)
bodies = st.one_of(
    st.just(b""), st.just(b"hello"), st.just(b"5\r\nhello\r\n0\r\n\r\n"), st.binary(max_size=60), documents
)


@dataclass(frozen=True)
class Target:
    """The registry that is fuzzed."""

    server: Server

    def answer(self, request: bytes) -> bytes:
        """All that comes back before the connection is closed, which must be soon: nothing more is sent."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=ANSWER_SECONDS) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(1 << 16), b""))
            except TimeoutError:
                pytest.fail(f"no answer, and the connection is still open: {request[:500]!r}")
            except OSError:
                return b""  # refused before it was sent

    def session(self) -> bytes:
        """The id of an upload that has just begun."""
        begun = httpx.post(f"{self.server.url}/v2/library/app/blobs/uploads/")
        return begun.headers["Docker-Upload-UUID"].encode()


def children(server: Server) -> list[int]:
    """All processes that the arbiter has made and has still."""
    arbiter = server.process.pid
    return sorted(map(int, Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()))


def both_workers(server: Server) -> list[int]:
    """The first may answer before the second is made."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while len(workers := children(server)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return workers


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """At the end its workers must be the same, must answer, and must not have been at a loss."""
    folder = tmp_path_factory.mktemp("fuzz")
    store = Store.open([folder / "store"])
    publish(store, small_image(), "library/app:latest")
    store.close()
    options = ("-s", folder / "store", "--push", "anonymous", "--htpasswd", write_htpasswd(folder))
    with serving(*options, "--workers", "2", "--max-uploads", "100000", log=folder / "log") as server:
        pushed = httpx.post(f"{server.url}/v2/library/app/blobs/uploads/?digest={DIGEST}", content=b"{}")
        assert pushed.status_code == 201
        workers = both_workers(server)
        yield Target(server)
        assert httpx.get(f"{server.url}/healthz", timeout=ANSWER_SECONDS).text == "ok\n"
        assert children(server) == workers
        assert all(len(os.listdir(f"/proc/{worker}/fd")) < MANY_FILES for worker in workers)
    log = (folder / "log").read_text(errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]


def assert_sound(target: Target, request: bytes) -> None:
    """Answered or closed in time, and not as a fault of the server."""
    started = time.monotonic()
    if b"SESSION" in request:
        request = request.replace(b"SESSION", target.session())
    answer = target.answer(request)
    assert time.monotonic() - started < ANSWER_SECONDS
    assert not FAULT.search(answer), answer[:500]
    assert b"Traceback" not in answer


def wire(method: str, path: str, fields: list[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A request as bytes; only what is not given is made right."""
    given_names = {name for name, _ in fields}
    if b"Host" not in given_names:
        fields = [(b"Host", b"localhost"), *fields]
    body = LARGE.get(body, body)
    if body and not given_names & {b"Content-Length", b"Transfer-Encoding"}:
        fields = [*fields, (b"Content-Length", b"%d" % len(body))]
    lines = b"".join(b"%s: %s\r\n" % field for field in fields)
    return f"{method} {path} HTTP/1.1\r\n".encode() + lines + b"\r\n" + body


@fuzzed
@given(st.sampled_from(METHODS), paths, queries, headers, bodies)
def test_no_request_is_a_fault_of_the_server(
    target: Target, method: str, path: str, query: str, fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert_sound(target, wire(method, path + query, fields, body))


@fuzzed
@given(st.sampled_from(MEDIA_TYPES), st.sampled_from(["latest", "fuzz", DIGEST, "own"]), documents)
def test_no_manifest_is_a_fault_of_the_server(target: Target, media_type: str, reference: str, document: bytes) -> None:
    path = f"/v2/library/app/manifests/{sha256(LARGE.get(document, document)) if reference == 'own' else reference}"
    assert_sound(target, wire("PUT", path, [(b"Content-Type", media_type.encode())], document))


@fuzzed
@given(st.binary(max_size=300) | st.builds(wire, st.text(max_size=9), st.text(max_size=60), headers, st.binary()))
def test_no_bytes_are_a_fault_of_the_server(target: Target, request: bytes) -> None:
    assert_sound(target, request)
