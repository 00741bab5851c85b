"""Pushes of small images, one after the other, over one connection."""

import http.client
import os
import time
from urllib.parse import urlsplit

from bench.errors import BenchFailed
from bench.layout import CONFIG, LAYER, Blob, image_config, manifest
from bench.traffic.endpoint import Endpoint

LAYER_SIZE = 1024 * 1024
REPOSITORY = "bench/pushed"
_PATIENCE = 60.0


def push_images(endpoint: Endpoint, seconds: float, number: int) -> int:
    """Push new images for so long; how many.

    Raises:
        BenchFailed: a push is refused.
    """
    end, count = time.monotonic() + seconds, 0
    connection = _connection(endpoint)
    try:
        while time.monotonic() < end:
            _push(connection, f"{number}-{count}")
            count += 1
    except OSError as error:
        raise BenchFailed(f"a push to {endpoint.authority} broke off: {error}") from error
    finally:
        connection.close()
    return count


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    trust = endpoint.trust()
    if trust is None:
        return http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_PATIENCE)
    return http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=_PATIENCE, context=trust)


def _push(connection: http.client.HTTPConnection, tag: str) -> None:
    layer = Blob.of((os.urandom(LAYER_SIZE),), LAYER)
    config = Blob.of_json(image_config((), "amd64", (tag,)), CONFIG)
    tree = manifest(config, [layer.descriptor()], [layer])
    for blob in (config, layer):
        session = _sent(connection, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", b"", 202)
        parts = urlsplit(session)
        query = f"{parts.query}&digest={blob.digest}" if parts.query else f"digest={blob.digest}"
        _sent(connection, "PUT", f"{parts.path}?{query}", b"".join(blob.content), 201)
    body = b"".join(tree.root.content)
    _sent(connection, "PUT", f"/v2/{REPOSITORY}/manifests/{tag}", body, 201, tree.root.media_type)


def _sent(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, wanted: int, kind: str = ""
) -> str:
    """The Location of the answer."""
    connection.request(method, path, body, {"Content-Type": kind or "application/octet-stream"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != wanted:
        raise BenchFailed(f"{method} {path} was answered with {answer.status}: the registry takes no pushes")
    return answer.headers.get("Location", "")
