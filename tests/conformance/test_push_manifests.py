"""end-7a, end-7b, and the subject on a push: what is taken, under which names, and what is refused."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from bench.layout import EMPTY, INDEX, MANIFEST, Blob, Document, artifact, index, manifest
from registry.oci import mediatype
from registry.oci.digest import Digest
from tests.conformance.repository import Repository, body_of, changed, refused, slices
from tests.images import small_image


def assert_taken(repository: Repository, document: Document | bytes, media_type: str | None = MANIFEST) -> None:
    """Under a tag and under both kinds of digest, and given back byte for byte."""
    body = document if isinstance(document, bytes) else body_of(document)
    kind = media_type or json.loads(body).get("mediaType")
    for reference in ("some-tag", Digest.of(body), Digest.of(body, "sha512")):
        digest = reference if isinstance(reference, Digest) else Digest.of(body)
        answer = repository.put(reference, body, media_type)
        assert (answer.status_code, answer.content) == (201, b""), answer.text
        assert answer.headers["Docker-Content-Digest"] == str(digest)
        assert urlsplit(answer.headers["Location"]).path == f"/v2/{repository.name}/manifests/{digest}"
        for path in (answer.headers["Location"], f"manifests/{reference}"):
            got = repository.get(path)
            assert (got.status_code, got.content, got.headers["Content-Type"]) == (200, body, kind)
            assert got.headers["Docker-Content-Digest"] == str(digest)
            head = repository.request("HEAD", path)
            assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(body)))


# What is taken


def test_a_manifest_comes_back_byte_for_byte(repository: Repository, document: Document) -> None:
    assert_taken(repository, document)
    assert_taken(repository, json.dumps(document, indent=7).encode() + b"\n\n")


@pytest.mark.parametrize(
    "fields",
    [
        {"mediaType": None},
        {"artifactType": "application/vnd.example+type"},
        {"layers": []},
        {"layers": None},
        {"annotations": {"a": "b", "": "ü"}},
        {"annotations": None},
        {"unknown": {"deep": [1, 2.5, None, True]}, "org.example": "x"},
    ],
    ids=str,
)
def test_what_the_specification_leaves_free_is_taken(
    repository: Repository, document: Document, fields: dict[str, object]
) -> None:
    assert_taken(repository, changed(document, **fields))


def test_types_of_config_and_layers_are_anybodys(repository: Repository) -> None:
    config = Blob.of((b"config",), "application/vnd.nobody.knows.v1")
    layer = Blob.of((b"layer",), "text/x-whatever")
    for content in (b"config", b"layer"):
        repository.push_blob(content)
    assert_taken(repository, b"".join(manifest(config, [layer.descriptor()], [layer]).root.content))


def test_descriptors_may_carry_their_data(repository: Repository) -> None:
    repository.push_blob(b"{}")
    config = {**Blob.of((b"{}",), EMPTY).descriptor(), "data": "e30=", "urls": ["https://example.com"]}
    assert_taken(repository, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config]})


def test_artifacts_are_taken(repository: Repository) -> None:
    digest = repository.push(artifact({"a.txt": b"hello"}, "application/vnd.example"), "artifact")
    assert repository.get("manifests/artifact").headers["Docker-Content-Digest"] == str(digest)


@pytest.mark.parametrize("kind", [mediatype.DOCKER_MANIFEST, MANIFEST])
def test_dockers_twin_is_taken_and_never_converted(repository: Repository, document: Document, kind: str) -> None:
    assert_taken(repository, changed(document, mediaType=kind), kind)


@pytest.mark.parametrize("kind", [mediatype.DOCKER_LIST, INDEX])
@pytest.mark.parametrize("fields", [{}, {"annotations": {"a": "b"}}, {"artifactType": "application/vnd.example"}])
def test_indexes_are_taken_also_empty_and_nested(
    repository: Repository, document: Document, kind: str, fields: dict[str, object]
) -> None:
    empty = {"schemaVersion": 2, "mediaType": kind, "manifests": [], **fields}
    assert_taken(repository, empty, kind)
    body = body_of(empty)
    listed = {"mediaType": kind, "digest": str(Digest.of(body)), "size": len(body)}
    nested = {**empty, "manifests": [listed, {**listed, "digest": str(Digest.of(body, "sha512"))}]}
    assert_taken(repository, nested, kind)


def test_an_index_of_images_is_taken(repository: Repository) -> None:
    tree = index([small_image(), index([small_image(arch="arm64")])])
    repository.push(tree, "multi")
    assert repository.get("manifests/multi").content == b"".join(tree.root.content)


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_layers_that_may_not_be_distributed_need_not_be_there(
    repository: Repository, document: Document, kind: str
) -> None:
    layer = {"mediaType": kind, "digest": str(Digest.of(os.urandom(9))), "size": 9, "urls": ["https://example.com/x"]}
    assert_taken(repository, changed(document, layers=[layer]))


def test_a_manifest_of_3_9_mb_is_taken(repository: Repository, document: Document) -> None:
    assert_taken(repository, changed(document, annotations={"filler": "x" * 3_900_000}))


def test_a_body_without_a_length_is_taken(repository: Repository, document: Document) -> None:
    for body in (body_of(document), body_of(changed(document, annotations={"filler": "x" * 3_900_000}))):
        headers = {"Content-Type": MANIFEST}
        answer = repository.request("PUT", "manifests/chunked", content=slices(body, 100_000), headers=headers)
        assert answer.status_code == 201
        assert repository.get("manifests/chunked").content == body


@pytest.mark.parametrize("kind", [f"{MANIFEST}; charset=utf-8", f'{MANIFEST};a="b;c"', f"{MANIFEST} ;q=1"])
def test_parameters_of_the_content_type_are_ignored(repository: Repository, document: Document, kind: str) -> None:
    assert repository.put("1", document, kind).status_code == 201
    assert repository.get("manifests/1").headers["Content-Type"] == MANIFEST


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"mediaType": mediatype.DOCKER_MANIFEST}, mediatype.DOCKER_MANIFEST),
        ({"mediaType": None}, MANIFEST),
        ({"mediaType": None, "config": None, "layers": None, "manifests": []}, INDEX),
    ],
)
def test_without_a_content_type_the_document_tells(
    repository: Repository, document: Document, fields: dict[str, object], kind: str
) -> None:
    assert repository.put("1", changed(document, **fields), None).status_code == 201
    assert repository.get("manifests/1").headers["Content-Type"] == kind


# Tags


def test_the_last_writer_of_a_tag_wins_and_the_old_manifest_stays(repository: Repository, document: Document) -> None:
    digests = []
    for number in range(3):
        answer = repository.put("latest", changed(document, annotations={"number": str(number)}))
        digests.append(answer.headers["Docker-Content-Digest"])
        assert repository.get("manifests/latest").json()["annotations"] == {"number": str(number)}
    assert [repository.status(f"manifests/{digest}") for digest in digests] == [200, 200, 200]
    assert repository.tags() == ["latest"]


def test_a_tag_that_many_write_is_always_a_whole_manifest(repository: Repository, document: Document) -> None:
    bodies = [body_of(changed(document, annotations={str(number): "x" * 1000 * number})) for number in range(8)]
    repository.put("latest", bodies[0])

    def write(body: bytes) -> int:
        return repository.put("latest", body).status_code

    def read(_: int) -> bytes:
        answer = repository.get("manifests/latest")
        assert answer.headers["Docker-Content-Digest"] == str(Digest.of(answer.content))
        return answer.content

    with ThreadPoolExecutor(8) as pool:
        written, seen = pool.map(write, bodies * 3), pool.map(read, range(48))
        assert set(written) == {201}
        assert set(seen) <= set(bodies)
    assert repository.put("latest", bodies[3]).status_code == 201
    assert read(0) == bodies[3]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("count", [1, 2, 12])
def test_end_7b_gives_a_manifest_many_tags_at_once(
    repository: Repository, document: Document, algorithm: str, count: int
) -> None:
    body = body_of(document)
    digest = Digest.of(body, algorithm)
    tags = sorted(f"Tag_{number}.x-y" for number in range(count))
    answer = repository.put(digest, body, tags=tags)
    assert answer.status_code == 201
    assert [tag.strip() for tag in answer.headers["OCI-Tag"].split(",")] == tags
    assert repository.tags() == tags
    for tag in tags:
        got = repository.get(f"manifests/{tag}")
        assert (got.content, got.headers["Docker-Content-Digest"]) == (body, str(digest))


def test_without_tags_in_the_query_no_oci_tag_is_told(repository: Repository, document: Document) -> None:
    assert "OCI-Tag" not in repository.put(Digest.of(body_of(document)), document).headers
    assert "OCI-Tag" not in repository.put("1", document).headers
    assert repository.tags() == ["1"]


def test_tags_beside_a_tag_in_the_path_are_ignored(repository: Repository, document: Document) -> None:
    answer = repository.put("1", document, tags=["2"])
    assert answer.status_code == 201
    assert "OCI-Tag" not in answer.headers
    assert repository.tags() == ["1"]


@pytest.mark.parametrize("bad", ["", ".x", "a b", "a:b", "a/b", "x" * 129, "a,b", "ü", "a\n"])
def test_end_7b_with_an_invalid_tag_stores_nothing(repository: Repository, document: Document, bad: str) -> None:
    digest = Digest.of(body_of(document))
    refused(repository.put(digest, document, tags=["good", bad, "other"]), 400, "MANIFEST_INVALID")
    assert repository.status(f"manifests/{digest}") == 404
    assert repository.tags() == []


# Subjects


@pytest.mark.parametrize("kind", [MANIFEST, INDEX])
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("by", ["tag", "sha256", "sha512"])
def test_a_subject_is_told_and_need_not_exist(repository: Repository, kind: str, by: str, *, exists: bool) -> None:
    subject = small_image()
    if exists:
        repository.push(subject)
    repository.push_blob(b"{}")
    config = {"config": Blob.of((b"{}",), EMPTY).descriptor(), "layers": []} if kind == MANIFEST else {"manifests": []}
    document = {"schemaVersion": 2, "mediaType": kind, "subject": subject.root.descriptor(), **config}
    reference = "referrer" if by == "tag" else Digest.of(body_of(document), by)
    answer = repository.put(reference, document, kind)
    assert (answer.status_code, answer.headers["OCI-Subject"]) == (201, subject.root.digest)
    assert repository.referrers(subject.root.digest) == [answer.headers["Docker-Content-Digest"]]


def test_without_a_subject_none_is_told(repository: Repository, document: Document) -> None:
    assert "OCI-Subject" not in repository.put("1", document).headers
