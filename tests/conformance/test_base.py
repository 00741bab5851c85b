"""end-1, error documents, and what every answer owes (distribution-spec, "Endpoints", "Error Codes")."""

import http.client
import json

import pytest

from registry.oci.digest import Digest
from tests.conformance.conftest import Registry

DIGEST = str(Digest.of(b"no such content"))


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_end_1_tells_that_this_is_a_registry(registry: Registry, method: str, path: str) -> None:
    answer = registry.client.request(method, path)
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("library/app/manifests/none", 404, "MANIFEST_UNKNOWN"),
        (f"library/app/manifests/{DIGEST}", 404, "MANIFEST_UNKNOWN"),
        ("nowhere/manifests/1.0", 404, "MANIFEST_UNKNOWN"),
        ("library/app/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"),
        ("library/app/manifests/sha256:baddigeststring", 400, "DIGEST_INVALID"),
        (f"library/app/blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        (f"nowhere/blobs/{DIGEST}", 404, "BLOB_UNKNOWN"),
        ("library/app/blobs/sha256:xyz", 400, "DIGEST_INVALID"),
        ("library/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID"),
        ("library/app/blobs/nodigest", 400, "DIGEST_INVALID"),
        ("library/app/referrers/sha256:xyz", 400, "DIGEST_INVALID"),
        ("nowhere/tags/list", 404, "NAME_UNKNOWN"),
        ("UPPER/tags/list", 400, "NAME_INVALID"),
        ("a%0A/tags/list", 400, "NAME_INVALID"),
        ("a//b/tags/list", 400, "NAME_INVALID"),
        ("library/app/tags/list?n=x", 400, "UNSUPPORTED"),
        ("library/app/tags/list?n=-1", 400, "UNSUPPORTED"),
        ("library/app/tags/list?n=1_0", 400, "UNSUPPORTED"),
        ("library/app/tags/list?n=", 400, "UNSUPPORTED"),
        ("_catalog?n=%D9%A1", 400, "UNSUPPORTED"),
        ("library/app/tags/other", 404, "UNSUPPORTED"),
        ("library/app/nothing/here", 404, "UNSUPPORTED"),
    ],
)
def test_a_refusal_is_a_document_with_a_code_of_the_specification(
    registry: Registry, path: str, status: int, code: str
) -> None:
    answer = registry.get(f"/v2/{path}")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert set(error) <= {"code", "message", "detail"}
    head = registry.client.head(f"/v2/{path}")
    assert (head.status_code, head.content) == (status, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_without_push_every_writing_is_denied(registry: Registry, method: str) -> None:
    answer = registry.client.request(method, "/v2/library/app/blobs/uploads/")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "DENIED")


def test_without_push_deleting_is_switched_off(registry: Registry) -> None:
    answer = registry.client.delete("/v2/library/app/manifests/1.0")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_nothing_is_ever_compressed(registry: Registry) -> None:
    answer = registry.get("/v2/library/app/manifests/1.0", headers={"Accept-Encoding": "gzip, br, zstd"})
    assert "Content-Encoding" not in answer.headers
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_connection_carries_one_request_after_another(registry: Registry) -> None:
    connection = http.client.HTTPConnection(registry.server.host)
    paths = ("manifests/1.0", "manifests/none", "tags/list", f"blobs/{Digest.of(registry.blobs[1_500_000])}") * 5
    for path in paths:
        connection.request("GET", f"/v2/library/app/{path}")
        answer = connection.getresponse()
        assert len(answer.read()) == int(answer.headers["Content-Length"])
    connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/v2/library/app/manifests/1.0/../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/blobs/sha256:" + "a" * 64,
        "/v2/" + "a/" * 1000 + "manifests/1",
        "/v2/" + "manifests/" * 100,
        "/v2/" + "blobs/uploads/" * 50,
        "/v2/%00/manifests/1",
        "/v2/%ff%fe/tags/list",
        "/v2//manifests/1",
        "//v2/library/app/tags/list",
    ],
)
def test_strange_paths_are_refused_and_never_a_fault(registry: Registry, path: str) -> None:
    connection = http.client.HTTPConnection(registry.server.host)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert 400 <= answer.status < 500, answer.read()
    connection.close()


@pytest.mark.parametrize(
    "name", ["a/blobs/uploads/manifests/b", "manifests", "tags/list", "blobs/uploads", "referrers/x"]
)
def test_words_of_the_api_are_legal_parts_of_a_name(registry: Registry, name: str) -> None:
    (error,) = registry.get(f"/v2/{name}/manifests/latest").json()["errors"]
    assert (error["code"], error["detail"]) == ("MANIFEST_UNKNOWN", f"{name} has no latest")


def test_an_escaped_path_is_the_same_path(registry: Registry) -> None:
    connection = http.client.HTTPConnection(registry.server.host)
    connection.request("GET", f"/v2/library%2Fapp/manifests/{str(registry.image).replace(':', '%3A')}")
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["schemaVersion"] == 2
    connection.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told(registry: Registry, path: str) -> None:
    assert registry.get(path).status_code == 200
    assert registry.client.head(path).status_code == 200
