"""end-3: manifests by tag and by digest, byte for byte."""

import hashlib

import pytest

from registry.oci import mediatype
from tests.conformance.conftest import Registry


def test_tag_and_digest_give_the_same_bytes(registry: Registry) -> None:
    by_tag = registry.get("/v2/library/app/manifests/1.0")
    by_digest = registry.get(f"/v2/library/app/manifests/{registry.image}")
    assert by_tag.status_code == by_digest.status_code == 200
    assert by_tag.content == by_digest.content
    assert hashlib.sha256(by_tag.content).hexdigest() == registry.image.hex


def test_what_is_said_of_a_manifest(registry: Registry) -> None:
    answer = registry.get("/v2/library/app/manifests/1.0")
    assert answer.headers["Content-Type"] == mediatype.OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == str(registry.image)
    assert answer.headers["ETag"] == f'"{registry.image}"'


@pytest.mark.parametrize("reference", ["1.0", "latest"])
def test_head_is_get_without_the_body(registry: Registry, reference: str) -> None:
    path = f"/v2/library/app/manifests/{reference}"
    get, head = registry.get(path), registry.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


def test_an_index_and_its_children_are_there(registry: Registry) -> None:
    answer = registry.get("/v2/library/multi/manifests/1")
    assert answer.headers["Content-Type"] == mediatype.OCI_INDEX
    for child in answer.json()["manifests"]:
        assert registry.get(f"/v2/library/multi/manifests/{child['digest']}").status_code == 200


def test_a_digest_is_told_in_its_own_algorithm(registry: Registry) -> None:
    for reference in ("1", str(registry.sha512_image)):
        answer = registry.get(f"/v2/library/sha512/manifests/{reference}")
        assert answer.headers["Docker-Content-Digest"] == str(registry.sha512_image)
        assert hashlib.sha512(answer.content).hexdigest() == registry.sha512_image.hex


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", mediatype.DOCKER_MANIFEST, f"{mediatype.OCI_INDEX};q=0.5"]
)
def test_a_manifest_is_served_whatever_accept_says(registry: Registry, accept: str | None) -> None:
    answer = registry.get("/v2/library/app/manifests/1.0", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, mediatype.OCI_MANIFEST)


def test_a_blob_is_never_served_as_a_manifest(registry: Registry) -> None:
    config = registry.get("/v2/library/app/manifests/1.0").json()["config"]["digest"]
    assert registry.get(f"/v2/library/app/blobs/{config}").status_code == 200
    assert registry.get(f"/v2/library/app/manifests/{config}").status_code == 404


def test_who_has_it_gets_a_304(registry: Registry) -> None:
    answer = registry.get("/v2/library/app/manifests/1.0", headers={"If-None-Match": f'"{registry.image}"'})
    assert (answer.status_code, answer.content) == (304, b"")


def test_tags_are_case_sensitive(registry: Registry) -> None:
    assert registry.get("/v2/library/app/manifests/A").status_code == 200
    assert registry.get("/v2/library/app/manifests/a").status_code == 404


def test_a_namespace_in_the_query_is_accepted(registry: Registry) -> None:
    assert registry.get("/v2/library/app/manifests/1.0?ns=docker.io").status_code == 200
