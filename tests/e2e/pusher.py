"""A client that pushes as badly as the field does: every form of upload, half of an image, gone in mid-body."""

import http.client
import json
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from bench.layout import CONFIG, LAYER, MANIFEST
from tests.e2e.content import sha256

SEED = 20
REPOSITORIES = tuple(f"faults/r{number}" for number in range(4))


class BrokenOff(Exception):
    """The connection ended before an answer: the client's doing, or a killed worker's."""


@dataclass
class Promised:
    """What the registry answered for with a 201, and the offsets of sessions that were left."""

    blobs: set[tuple[str, str]] = field(default_factory=set)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    left: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By Location: the bytes acknowledged, and those that may have come."""


class Pusher:
    """A client that makes images, sends them in every form there is, and now and then goes away in mid-body."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        self._random = random.Random(SEED + number)
        self._shared = [random.Random(SEED + layer).randbytes(150_000) for layer in range(6)]
        self._number = number
        self.promised = Promised()

    def push_until(self, deadline: float) -> Promised:
        count = 0
        while time.monotonic() < deadline:
            with suppress(BrokenOff):
                self._push(self._random.choice(REPOSITORIES), f"t{self._number}-{count % 5}")
            count += 1
        return self.promised

    def _push(self, repository: str, tag: str) -> None:
        own = self._random.randbytes(self._random.randrange(200_000))
        layers = [own, *self._random.sample(self._shared, 2)]
        config = json.dumps({"os": "linux", "of": sha256(own)}).encode()
        for body in (config, *layers):
            self._push_blob(repository, body)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
                "layers": [{"mediaType": LAYER, "digest": sha256(one), "size": len(one)} for one in layers],
            }
        ).encode()
        path = f"/v2/{repository}/manifests/{tag}"
        answer = self._request("PUT", path, [manifest], {"Content-Type": MANIFEST, "Content-Length": len(manifest)})
        assert answer.status == 201, answer
        self.promised.manifests[repository, sha256(manifest)] = manifest

    def _push_blob(self, repository: str, body: bytes) -> None:
        form = self._random.choice([self._at_once, self._streamed, self._chunked])
        answer = form(f"/v2/{repository}/blobs/uploads/", body)
        assert answer.status == 201, (form, answer.status)
        self.promised.blobs.add((repository, sha256(body)))

    def _at_once(self, uploads: str, body: bytes) -> http.client.HTTPResponse:
        return self._send("POST", f"{uploads}?digest={sha256(body)}", body)

    def _streamed(self, uploads: str, body: bytes) -> http.client.HTTPResponse:
        """A PATCH of chunked transfer-encoding, as podman sends it."""
        location = self._begin(uploads, len(body))
        pieces = [body[start : start + 7000] for start in range(0, len(body), 7000)]
        self._expect(202, self._request("PATCH", location, self._cut(pieces), {"Transfer-Encoding": "chunked"}))
        return self._finish(location, b"", body)

    def _chunked(self, uploads: str, body: bytes) -> http.client.HTTPResponse:
        """PATCHes with Content-Range; the last chunk comes with the PUT."""
        location, middle = self._begin(uploads, len(body) // 2), len(body) // 2
        first = self._send("PATCH", location, body[:middle], {"Content-Range": f"0-{middle - 1}"})
        self._expect(202, first)
        self.promised.left[location] = (middle, middle)
        return self._finish(location, body[middle:], body)

    def _begin(self, uploads: str, size: int) -> str:
        location = self._expect(202, self._request("POST", uploads, [], {"Content-Length": 0})).headers["Location"]
        self.promised.left[location] = (0, size)
        return str(location)

    def _finish(self, location: str, rest: bytes, body: bytes) -> http.client.HTTPResponse:
        if self._random.random() < 0.1:
            raise BrokenOff  # this one is left
        del self.promised.left[location]  # from here on it may have become a blob
        return self._send("PUT", f"{location}?digest={sha256(body)}", rest)

    def _send(
        self, method: str, path: str, body: bytes, headers: dict[str, str | int] | None = None
    ) -> http.client.HTTPResponse:
        half = len(body) // 2
        headers = {"Content-Length": len(body), **(headers or {})}
        return self._request(method, path, self._cut([body[:half], body[half:]]), headers)

    def _cut(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """All of them, or as many as come before the client goes away."""
        goes = self._random.random() < 0.1
        for number, piece in enumerate(pieces):
            if goes and number:
                raise BrokenOff
            yield piece

    def _request(
        self, method: str, path: str, pieces: Iterable[bytes], headers: dict[str, str | int]
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            fields = {name: str(value) for name, value in headers.items()}
            connection.request(method, path, pieces, fields, encode_chunked="Transfer-Encoding" in headers)
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, ConnectionError) as error:
            raise BrokenOff from error
        else:
            return answer
        finally:
            connection.close()

    def _expect(self, status: int, answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
        assert answer.status == status, answer.status
        return answer
