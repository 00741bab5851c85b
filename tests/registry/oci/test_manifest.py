"""Manifests: what is read from them, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci import mediatype
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid
from registry.oci.manifest import Manifest

DIGEST = str(Digest.of(b"x"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def descriptor(media_type: str = "application/x", **fields: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 1, **fields}


def image(**fields: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatype.OCI_MANIFEST,
        "config": descriptor(),
        "layers": [descriptor()],
    }
    return json.dumps({key: value for key, value in {**document, **fields}.items() if value is not ...}).encode()


def index(**fields: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": mediatype.OCI_INDEX, "manifests": [], **fields}).encode()


def test_an_image_needs_its_config_and_its_distributable_layers() -> None:
    foreign = descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    manifest = Manifest.parse(image(layers=[descriptor(), foreign]))
    assert [blob.media_type for blob in manifest.blobs] == ["application/x", "application/x"]
    assert manifest.children == ()


def test_an_index_has_children_and_may_list_what_is_no_manifest() -> None:
    manifest = Manifest.parse(index(manifests=[descriptor(mediatype.OCI_MANIFEST), descriptor("text/plain")]))
    assert [child.media_type for child in manifest.children] == [mediatype.OCI_MANIFEST]
    assert [blob.media_type for blob in manifest.blobs] == ["text/plain"]


@pytest.mark.parametrize("kind", sorted(mediatype.MANIFEST_TYPES))
def test_all_four_kinds_are_taken(kind: str) -> None:
    body = index(mediaType=kind) if kind in mediatype.INDEX_TYPES else image(mediaType=kind)
    assert Manifest.parse(body, kind).media_type == kind
    assert Manifest.parse(body).media_type == kind


def test_without_media_type_the_shape_tells_the_kind() -> None:
    assert Manifest.parse(image(mediaType=...)).media_type == mediatype.OCI_MANIFEST
    assert Manifest.parse(b'{"schemaVersion":2,"manifests":[]}').media_type == mediatype.OCI_INDEX


def test_unknown_types_fields_and_empty_lists_are_no_errors() -> None:
    Manifest.parse(image(layers=[], artifactType="application/vnd.x", future={"a": 1}, config=descriptor(data="e30=")))


def test_the_artifact_type_of_a_descriptor_falls_back_to_the_config_of_an_image_only() -> None:
    own = Manifest.parse(image(artifactType="application/a"))
    config = Manifest.parse(image(config=descriptor("application/c")))
    none = Manifest.parse(index())
    described = [each.descriptor(Digest.of(each.body)).artifact_type for each in (own, config, none)]
    assert described == ["application/a", "application/c", None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x1f\x8b\x08",
        b"[]",
        b"null",
        b"{}",
        b'{"schemaVersion":1}',
        b'{"schemaVersion":2}',
        b"[" * 100_000,
        b"1" * 5000,
        image(mediaType="text/plain"),
        image(mediaType=5),
        image(config=...),
        image(config=[]),
        image(layers={}),
        image(layers=["x"]),
        image(layers=[descriptor(size=-1)]),
        image(layers=[descriptor(size=True)]),
        image(layers=[descriptor(size=1.5)]),
        image(layers=[descriptor(size=2**63)]),
        image(layers=[descriptor("no media type")]),
        image(layers=[descriptor("a/b\r\nX: y")]),
        image(annotations={"a": 1}),
        image(annotations={"a": "\ud800"}),
        image(annotations=["a"]),
        image(manifests=[]),
        index(layers=[descriptor()]),
        index(config=descriptor()),
    ],
)
def test_what_is_no_manifest_is_refused(body: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.parse(body)


def test_a_descriptor_with_a_bad_digest_is_refused() -> None:
    with pytest.raises(DigestInvalid):
        Manifest.parse(image(layers=[descriptor(digest="sha256:x")]))


def test_a_type_that_the_document_contradicts_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="says of itself"):
        Manifest.parse(image(), mediatype.DOCKER_MANIFEST)


@given(
    st.dictionaries(st.sampled_from(["schemaVersion", "mediaType", "config", "layers", "manifests", "subject"]), JSON)
)
def test_any_json_is_a_manifest_or_refused(document: dict[str, Any]) -> None:
    try:
        Manifest.parse(json.dumps({"schemaVersion": 2} | document).encode())
    except (ManifestInvalid, DigestInvalid) as error:
        assert error.status == 400
