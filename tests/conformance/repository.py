"""A repository that a test has for itself, and the few requests that all pushing is made of."""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from bench.layout import INDEX, MANIFEST, Document, Tree
from registry.oci.digest import Digest
from tests.conftest import Server

CODES = frozenset(
    {
        *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DENIED", "DIGEST_INVALID"),
        *("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN"),
        *("SIZE_INVALID", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNSUPPORTED"),
    }
)


@dataclass(frozen=True)
class Repository:
    """The name of one, and who to talk to about it."""

    server: Server
    client: httpx.Client
    name: str

    def request(self, method: str, path: str, **options: object) -> httpx.Response:
        """`path` is below the repository, or the whole of it where it begins with a slash."""
        url = path if path.startswith("/") else f"/v2/{self.name}/{path}"
        return self.client.request(method, url, **options)  # type: ignore[arg-type]

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def status(self, path: str) -> int:
        """What HEAD answers; it must have no body."""
        answer = self.request("HEAD", path)
        assert answer.content == b""
        return answer.status_code

    def start(self) -> str:
        """The Location of a new upload."""
        answer = self.request("POST", "blobs/uploads/")
        assert answer.status_code == 202, answer.text
        location: str = answer.headers["Location"]
        return location

    def patch(self, location: str, content: bytes | Iterable[bytes], first: int | None = None) -> httpx.Response:
        """A chunk that says where it begins, or one that does not."""
        headers = {}
        if first is not None:
            assert isinstance(content, bytes)
            headers["Content-Range"] = f"{first}-{first + len(content) - 1}"
        return self.request("PATCH", location, content=content, headers=headers)

    def finish(self, location: str, digest: Digest | str, content: bytes | Iterable[bytes] = b"") -> httpx.Response:
        return self.request("PUT", f"{location}?digest={digest}", content=content)

    def push_blob(self, content: bytes, algorithm: str = "sha256") -> Digest:
        """In one request (end-4b)."""
        digest = Digest.of(content, algorithm)
        answer = self.request("POST", f"blobs/uploads/?digest={digest}", content=content)
        assert answer.status_code == 201, answer.text
        return digest

    def put(
        self,
        reference: Digest | str,
        document: Document | bytes,
        media_type: str | None = MANIFEST,
        tags: Iterable[str] = (),
    ) -> httpx.Response:
        """A manifest."""
        body = document if isinstance(document, bytes) else body_of(document)
        query = "&".join(f"tag={quote(tag)}" for tag in tags)
        headers = {} if media_type is None else {"Content-Type": media_type}
        return self.request("PUT", f"manifests/{reference}?{query}", content=body, headers=headers)

    def push(self, tree: Tree, tag: str | None = None) -> Digest:
        """All of a tree, its root by digest, or under a tag."""
        bodies = {blob.digest: (b"".join(blob.content), blob.media_type) for blob in (*tree.below, tree.root)}
        for body, kind in bodies.values():
            if kind not in (MANIFEST, INDEX):
                self.push_blob(body)
        self._push_manifest(bodies, tree.root.digest, tag or tree.root.digest)
        return Digest.parse(tree.root.digest)

    def _push_manifest(self, bodies: Mapping[str, tuple[bytes, str]], digest: str, reference: str) -> None:
        body, kind = bodies[digest]
        for child in json.loads(body).get("manifests", ()):
            self._push_manifest(bodies, child["digest"], child["digest"])
        answer = self.put(reference, body, kind)
        assert answer.status_code == 201, answer.text

    def tags(self) -> list[str]:
        tags: list[str] = self.get("tags/list").json()["tags"]
        return tags

    def referrers(self, subject: Digest | str) -> list[str]:
        """Their digests."""
        return [each["digest"] for each in self.get(f"referrers/{subject}").json()["manifests"]]


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """Assert that this is the specification's error document, with that code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert code in CODES
    assert set(error) <= {"code", "message", "detail"}


def body_of(document: Document) -> bytes:
    """As this suite sends it."""
    return json.dumps(document).encode()


def changed(document: Document, **fields: object) -> dict[str, object]:
    """With these fields, and without those that are None."""
    return {key: value for key, value in {**document, **fields}.items() if value is not None}


def slices(content: bytes, size: int) -> Iterator[bytes]:
    """The pieces of a body that is sent without a length."""
    for first in range(0, len(content), size):
        yield content[first : first + size]


def converse(server: Server, request: str, body: bytes = b"", *, hang_up: bool = True) -> bytes:
    """Whatever comes back for bytes that no client library would send; with `hang_up` nothing follows them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode() + body)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer
