"""Conditional requests (RFC 9110 section 13): get, replace or remove only what one has seen."""

import json
from pathlib import Path

import httpx
import pytest

from registry.oci.digest import Digest
from registry.storage.store import Store
from tests.conformance.conftest import Registry
from tests.conformance.repository import Repository, body_of, changed, refused
from tests.conftest import serving
from tests.images import publish, small_image


def pushed(repository: Repository, document: dict[str, object], tag: str, **headers: str) -> tuple[int, Digest]:
    body = body_of(document)
    path = f"/v2/{repository.name}/manifests/{tag}"
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    media_type = {"Content-Type": str(document["mediaType"])}
    answer = repository.client.put(path, content=body, headers=media_type | named)
    if answer.status_code == 412:
        refused(answer, 412, "DENIED")
    return answer.status_code, Digest.of(body)


def test_a_tag_is_made_only_if_there_is_none(repository: Repository, document: dict[str, object]) -> None:
    assert pushed(repository, document, "1", If_None_Match="*")[0] == 201
    assert pushed(repository, changed(document, annotations={"a": "b"}), "1", If_None_Match="*")[0] == 412
    assert repository.get("manifests/1").content == body_of(document)


def test_a_tag_moves_only_from_what_was_seen(repository: Repository, document: dict[str, object]) -> None:
    _, first = pushed(repository, document, "1")
    second = changed(document, annotations={"n": "2"})
    assert pushed(repository, second, "1", If_Match='"sha256:other"')[0] == 412
    status, digest = pushed(repository, second, "1", If_Match=f'"other", "{first}"')
    assert status == 201
    assert pushed(repository, document, "1", If_Match=f'"{first}"')[0] == 412
    assert repository.get("manifests/1").headers["Docker-Content-Digest"] == str(digest)


@pytest.mark.parametrize(("header", "status"), [("If_Match", 412), ("If_None_Match", 201)])
def test_of_what_is_not_there_nothing_matches(
    repository: Repository, document: dict[str, object], header: str, status: int
) -> None:
    assert pushed(repository, document, "new", **{header: "*"})[0] == status


def test_a_condition_holds_for_a_digest_too(repository: Repository, document: dict[str, object]) -> None:
    digest = str(Digest.of(body_of(document)))
    assert pushed(repository, document, digest, If_None_Match="*")[0] == 201
    assert pushed(repository, document, digest, If_None_Match="*")[0] == 412
    assert json.loads(repository.get(f"manifests/{digest}").content) == document


def test_a_weak_tag_proves_nothing_of_the_bytes(repository: Repository, document: dict[str, object]) -> None:
    _, first = pushed(repository, document, "1")
    assert pushed(repository, changed(document, annotations={"n": "2"}), "1", If_Match=f'W/"{first}"')[0] == 412


def test_a_tag_that_moved_meanwhile_is_not_deleted(repository: Repository, document: dict[str, object]) -> None:
    _, seen = pushed(repository, document, "1")
    _, other = pushed(repository, changed(document, annotations={"n": "2"}), "1")
    for headers in ({"If-Match": f'"{seen}"'}, {"If-Match": f'W/"{other}"'}, {"If-None-Match": f'"{other}"'}):
        refused(repository.request("DELETE", "manifests/1", headers=headers), 412, "DENIED")
        refused(repository.request("DELETE", f"manifests/{other}", headers=headers), 412, "DENIED")
    assert repository.get("manifests/1").headers["Docker-Content-Digest"] == str(other)
    assert repository.request("DELETE", "manifests/1", headers={"If-Match": f'"{other}"'}).status_code == 202
    refused(repository.request("DELETE", "manifests/1", headers={"If-Match": f'"{other}"'}), 404, "MANIFEST_UNKNOWN")


def test_a_blob_is_deleted_only_if_it_is_the_one_meant(repository: Repository) -> None:
    digest = repository.push_blob(b"conditional")
    path = f"blobs/{digest}"
    refused(repository.request("DELETE", path, headers={"If-Match": '"other"'}), 412, "DENIED")
    assert repository.status(path) == 200
    assert repository.request("DELETE", path, headers={"If-Match": f'"{digest}"'}).status_code == 202
    refused(repository.request("DELETE", path, headers={"If-Match": '"other"'}), 404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_only_what_is_meant_is_read(registry: Registry, method: str, kind: str) -> None:
    digest = str(registry.image if kind == "manifests" else Digest.of(registry.blobs[4096]))
    path = f"/v2/library/app/{kind}/{'1.0' if kind == 'manifests' else digest}"
    for header, status in ((f'"{digest}"', 200), ("*", 200), (f'"x", "{digest}"', 200), ('"x"', 412)):
        answer = registry.client.request(method, path, headers={"If-Match": header, "If-None-Match": '"y"'})
        assert (answer.status_code, answer.headers.get("ETag")) == (status, f'"{digest}"' if status == 200 else None)
    refused(registry.get(path, headers={"If-Match": '"x"', "If-None-Match": f'"{digest}"'}), 412, "DENIED")


def test_no_cache_is_told_to_keep_an_error(registry: Registry, tmp_path: Path) -> None:
    content = registry.blobs[1_500_000]
    path = f"/v2/library/app/blobs/{Digest.of(content)}"
    answers = [registry.get(path, headers=each) for each in ({"Range": "bytes=1500000-"}, {"If-Match": '"x"'})]
    store = Store.open([tmp_path / "store"])
    publish(store, small_image(), "app:1")
    layer = next(file for file in (tmp_path / "store" / "blobs").rglob("*") if file.is_file())
    store.close()
    layer.unlink()
    with serving("-s", tmp_path / "store", log=tmp_path / "log") as server:
        answers.append(httpx.get(f"{server.url}/v2/app/blobs/sha256:{layer.name}"))
    assert [each.status_code for each in answers] == [416, 412, 500]
    for each in answers:
        assert each.headers.keys().isdisjoint({"cache-control", "etag", "docker-content-digest"})
