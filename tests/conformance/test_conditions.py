"""Conditional pushes (RFC 9110 section 13): replace a manifest only if it is what one has seen."""

import json

import pytest

from registry.oci.digest import Digest
from tests.conformance.repository import Repository, body_of, changed, refused


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
