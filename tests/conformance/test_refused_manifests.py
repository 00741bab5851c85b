"""end-7: manifests that are not taken, why, and that nothing of them stays."""

import random

import pytest

from bench.layout import INDEX, MANIFEST, Document
from registry.oci import mediatype
from registry.oci.digest import Digest
from tests.conformance.repository import Repository, body_of, changed, refused, slices

MISSING = str(Digest.of(random.Random(__name__).randbytes(9)))
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DESCRIPTOR = {"mediaType": mediatype.OCI_LAYER, "digest": MISSING, "size": 9}


def assert_refused(
    repository: Repository, document: Document | bytes, code: str, kind: str | None = MANIFEST, status: int = 400
) -> None:
    """By tag and by digest; nothing is stored."""
    body = document if isinstance(document, bytes) else body_of(document)
    for reference in ("refused", Digest.of(body)):
        refused(repository.put(reference, body, kind), status, code)
        assert repository.status(f"manifests/{reference}") == 404
    assert repository.tags() == []


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (MANIFEST, mediatype.DOCKER_MANIFEST),
        (mediatype.DOCKER_MANIFEST, MANIFEST),
        (MANIFEST, INDEX),
        (INDEX, MANIFEST),
    ],
)
def test_a_media_type_that_contradicts_the_content_type(
    repository: Repository, document: Document, said: str, sent: str
) -> None:
    assert_refused(repository, changed(document, mediaType=said), "MANIFEST_INVALID", sent)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "x", SCHEMA1])
def test_a_content_type_that_is_no_manifests(repository: Repository, document: Document, kind: str) -> None:
    assert_refused(repository, changed(document, mediaType=None), "MANIFEST_INVALID", kind)


def test_schema_1(repository: Repository) -> None:
    document = {"schemaVersion": 1, "name": "a", "tag": "1", "fsLayers": [], "history": [], "signatures": []}
    repository.push_blob(b"x")
    for kind in (SCHEMA1, SCHEMA1.replace("+json", "+prettyjws"), None, MANIFEST):
        assert_refused(repository, document, "MANIFEST_INVALID", kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schemaVersion": 3}',
        b'{"schemaVersion": 2, "config": []}',
        b'{"schemaVersion": 2, "layers": {}}',
        b'{"schemaVersion": "2"}',
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
@pytest.mark.parametrize("kind", [MANIFEST, INDEX, None])
def test_what_is_no_manifest(repository: Repository, body: bytes, kind: str | None) -> None:
    repository.push_blob(b"x")
    assert_refused(repository, body, "MANIFEST_INVALID", kind)


@pytest.mark.parametrize(
    "fields",
    [
        {"config": None},
        {"config": "x"},
        {"layers": ["x"]},
        {"layers": [{**DESCRIPTOR, "size": -1}]},
        {"layers": [{**DESCRIPTOR, "size": "9"}]},
        {"layers": [{"digest": MISSING, "size": 9}]},
        {"manifests": [DESCRIPTOR]},
        {"subject": "x"},
        {"annotations": {"a": 1}},
        {"artifactType": 7},
    ],
    ids=str,
)
def test_a_document_of_the_wrong_shape(repository: Repository, document: Document, fields: dict[str, object]) -> None:
    assert_refused(repository, changed(document, **fields), "MANIFEST_INVALID")


@pytest.mark.parametrize("digest", ["sha256:xyz", "md5:d41d8cd98f00b204e9800998ecf8427e", "x"])
@pytest.mark.parametrize("field", ["config", "layers", "subject"])
def test_a_descriptor_without_a_good_digest(
    repository: Repository, document: Document, digest: str, field: str
) -> None:
    descriptor = {**DESCRIPTOR, "digest": digest}
    value = [descriptor] if field == "layers" else descriptor
    assert_refused(repository, changed(document, **{field: value}), "DIGEST_INVALID")


@pytest.mark.parametrize("fields", [{"config": DESCRIPTOR}, {"layers": [DESCRIPTOR]}], ids=["config", "layer"])
def test_a_missing_blob(repository: Repository, document: Document, fields: dict[str, object]) -> None:
    assert_refused(repository, changed(document, **fields), "MANIFEST_BLOB_UNKNOWN")


def test_a_blob_that_only_another_repository_has(repository: Repository, other: Repository, document: Document) -> None:
    other.push_blob(b"x")
    assert_refused(other, document, "MANIFEST_BLOB_UNKNOWN")
    assert repository.put("1", document).status_code == 201


def test_a_blob_that_was_deleted(repository: Repository, document: dict[str, dict[str, str]]) -> None:
    repository.request("DELETE", f"blobs/{document['config']['digest']}")
    assert_refused(repository, document, "MANIFEST_BLOB_UNKNOWN")


@pytest.mark.parametrize("kind", [MANIFEST, INDEX, mediatype.DOCKER_MANIFEST, "application/octet-stream"])
def test_a_missing_child(repository: Repository, kind: str) -> None:
    repository.push_blob(b"x")
    child = {"mediaType": kind, "digest": MISSING, "size": 9}
    assert_refused(
        repository, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}, "MANIFEST_BLOB_UNKNOWN", INDEX
    )


def test_a_blob_is_no_child(repository: Repository, document: Document) -> None:
    digest = repository.push_blob(body_of(document))
    child = {"mediaType": MANIFEST, "digest": str(digest), "size": len(body_of(document))}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}
    assert_refused(repository, index, "MANIFEST_BLOB_UNKNOWN", INDEX)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_manifest_above_the_limit(repository: Repository, document: Document, *, chunked: bool) -> None:
    body = body_of(changed(document, annotations={"filler": "x" * 4 * 1024 * 1024}))
    content = slices(body, 65536) if chunked else body
    headers = {"Content-Type": MANIFEST}
    refused(repository.request("PUT", "manifests/1", content=content, headers=headers), 413, "SIZE_INVALID")
    assert repository.status("manifests/1") == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_that_is_not_what_its_digest_says(
    repository: Repository, document: Document, algorithm: str
) -> None:
    wanted = Digest.of(b"other", algorithm)
    refused(repository.put(wanted, document), 400, "DIGEST_INVALID")
    assert repository.status(f"manifests/{wanted}") == 404
    assert repository.status(f"manifests/{Digest.of(body_of(document), algorithm)}") == 404


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("sha256:baddigeststring", "DIGEST_INVALID"),
        ("sha256:" + "A" * 64, "DIGEST_INVALID"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        (f"blake3:{'a' * 64}", "DIGEST_INVALID"),
        (".x", "MANIFEST_INVALID"),
        ("-x", "MANIFEST_INVALID"),
        ("a%20b", "MANIFEST_INVALID"),
        ("x" * 129, "MANIFEST_INVALID"),
        ("a%0A", "MANIFEST_INVALID"),
    ],
)
def test_what_is_neither_tag_nor_digest(repository: Repository, document: Document, reference: str, code: str) -> None:
    refused(repository.put(reference, document), 400, code)
    assert repository.tags() == []


@pytest.mark.parametrize("name", ["UPPER", "a//b", "a..b", "_a", "a%0A"])
def test_a_name_that_is_none(repository: Repository, document: Document, name: str) -> None:
    bad = Repository(repository.server, repository.client, name)
    refused(bad.put("1", document), 400, "NAME_INVALID")
