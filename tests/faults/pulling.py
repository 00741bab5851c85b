"""What clients see of a registry: images that are complete, or what is wrong with them."""

import hashlib
import http.client
import json
import select
import threading
from types import TracebackType
from typing import Any, Self

from bench.layout import INDEX, MANIFEST
from tests.conftest import Server

_PAUSE = 0.2  # between two rounds: two cores serve, load and ask here

TRANSPORT_ERRORS = (OSError, http.client.HTTPException)


class Incomplete(AssertionError):
    """An image is listed, and a part of it is missing or wrong."""


class Puller:
    """A client that believes nothing: every size and digest is checked.

    It asks by http.client: httpx takes four times as long, and what serves and loads has the same two cores.
    """

    def __init__(self, server: Server, *, bodies: bool = True) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self._bodies = bodies
        self._verified: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def pull_all(self) -> dict[str, str]:
        """Pull every image that is listed; returns digest by image."""
        self._verified.clear()
        names = self._json("/v2/_catalog")["repositories"]
        tagged = [(name, tag) for name in names for tag in self._json(f"/v2/{name}/tags/list")["tags"]]
        return {f"{name}:{tag}": self.pull(name, tag) for name, tag in tagged}

    def pull(self, name: str, reference: str) -> str:
        """One image with all that is below it; returns its digest."""
        headers, body = self._ask("GET", f"/v2/{name}/manifests/{reference}")
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if digest != headers["docker-content-digest"] or (":" in reference and reference != digest):
            raise Incomplete(f"{name}: {reference} is {digest}")
        document = json.loads(body)
        for child in document.get("manifests", ()):
            self._pull_child(name, child)
        for blob in [document[key] for key in ("config",) if key in document] + document.get("layers", []):
            self._pull_blob(name, blob)
        return digest

    def _pull_child(self, name: str, descriptor: dict[str, Any]) -> None:
        if descriptor["mediaType"] in (MANIFEST, INDEX):
            self.pull(name, descriptor["digest"])
        else:
            self._pull_blob(name, descriptor)

    def _pull_blob(self, name: str, descriptor: dict[str, Any]) -> None:
        """Every repository must have it; its bytes are read once."""
        path, digest = f"/v2/{name}/blobs/{descriptor['digest']}", descriptor["digest"]
        size = int(self._ask("HEAD", path)[0]["content-length"])
        if self._bodies and digest not in self._verified:
            _, body = self._ask("GET", path)
            self._verified.add(digest)
            if digest != f"sha256:{hashlib.sha256(body).hexdigest()}":
                raise Incomplete(f"{path} has other bytes")
        if size != descriptor["size"]:
            raise Incomplete(f"{path} has {size} bytes, not {descriptor['size']}")

    def _json(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._ask("GET", path)[1])
        return document

    def _ask(self, method: str, path: str) -> tuple[http.client.HTTPMessage, bytes]:
        """Headers and body of an answer with 200, over a connection that the server has not closed meanwhile."""
        sock = self._connection.sock
        if sock is not None and select.select([sock], [], [], 0)[0]:
            self._connection.close()
        try:
            self._connection.request(method, path)
            answer = self._connection.getresponse()
            body = answer.read()
        except TRANSPORT_ERRORS:
            self._connection.close()
            raise
        if answer.status != http.client.OK:
            raise Incomplete(f"{method} {path}: {answer.status} {body[:200]!r}")
        return answer.headers, body


class Asking:
    """Pulls everything again and again from a thread, while something happens; an answer amiss fails the test."""

    def __init__(self, server: Server, *, workers_die: bool = False) -> None:
        self._server = server
        self._tolerated: tuple[type[Exception], ...] = TRANSPORT_ERRORS if workers_die else ()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failure: Exception | None = None
        self.rounds = 0
        """How often all was pulled."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        with Puller(self._server, bodies=False) as puller:
            while not self._done.wait(_PAUSE):
                try:
                    puller.pull_all()
                    self.rounds += 1
                except self._tolerated:
                    continue
                except Exception as error:  # noqa: BLE001  # raised again in the test's own thread
                    self._failure = error
                    return
