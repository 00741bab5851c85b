"""end-2: blobs, whole and in ranges (RFC 9110 section 14)."""

import pytest

from registry.oci.digest import Digest
from tests.conformance.conftest import SIZES, Registry

BIG = 1_500_000


def path(content: bytes) -> str:
    return f"/v2/library/app/blobs/{Digest.of(content)}"


@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_and_what_is_said_of_them(registry: Registry, size: int) -> None:
    content = registry.blobs[size]
    answer = registry.get(path(content))
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["Docker-Content-Digest"] == str(Digest.of(content))
    assert answer.headers["ETag"] == f'"{Digest.of(content)}"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("size", SIZES)
def test_head_is_get_without_the_body(registry: Registry, size: int) -> None:
    content = registry.blobs[size]
    get, head = registry.get(path(content)), registry.client.head(path(content))
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "date": ""} == {**get.headers, "date": ""}


def test_a_blob_of_another_repository_is_unknown(registry: Registry) -> None:
    answer = registry.get(path(registry.blobs[BIG]).replace("library/app", "library/multi"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")


@pytest.mark.parametrize("size", [4096, BIG])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, -1),
        ("bytes=-500", -500, -1),
        ("bytes=4000-999999999999", 4000, -1),
        ("bytes=-999999999999", 0, -1),
        ("Bytes=1-2", 1, 2),
    ],
)
def test_a_range_is_a_206(registry: Registry, size: int, asked: str, first: int, last: int) -> None:
    content = registry.blobs[size]
    first, last = first % size, last % size
    answer = registry.get(path(content), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, content[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert int(answer.headers["Content-Length"]) == last - first + 1


@pytest.mark.parametrize("asked", ["bytes=4096-", "bytes=9999-10000", "bytes=500-0", "bytes=-0"])
def test_a_range_without_a_byte_is_a_416(registry: Registry, asked: str) -> None:
    answer = registry.get(path(registry.blobs[4096]), headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */4096")


@pytest.mark.parametrize(
    "asked",
    [
        "items=0-5",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-5,10-15",
        "bytes=1_0-20",
        "bytes=\u0660-\u0665",
        "bytes=+1-2",
    ],
)
def test_what_is_no_single_byte_range_is_ignored(registry: Registry, asked: str) -> None:
    answer = registry.get(path(registry.blobs[4096]), headers={"Range": asked.encode()})
    assert (answer.status_code, answer.content) == (200, registry.blobs[4096])


def test_head_knows_no_ranges(registry: Registry) -> None:
    answer = registry.client.head(path(registry.blobs[4096]), headers={"Range": "bytes=0-5"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "4096")


def test_ranges_of_the_empty_blob(registry: Registry) -> None:
    empty = path(b"")
    assert registry.get(empty, headers={"Range": "bytes=0-"}).status_code == 416
    assert registry.get(empty, headers={"Range": "bytes=-5"}).status_code == 200


def test_if_range_takes_the_etag_only(registry: Registry) -> None:
    content = registry.blobs[4096]
    right, wrong = f'"{Digest.of(content)}"', '"other"'
    asked = {"Range": "bytes=0-5"}
    assert registry.get(path(content), headers={**asked, "If-Range": right}).status_code == 206
    assert registry.get(path(content), headers={**asked, "If-Range": wrong}).status_code == 200
    assert registry.get(path(content), headers={**asked, "If-Range": f"W/{right}"}).status_code == 200


def test_who_has_it_gets_a_304(registry: Registry) -> None:
    content = registry.blobs[4096]
    etag = f'"{Digest.of(content)}"'
    for condition in (etag, f'"other", W/{etag}', "*"):
        answer = registry.get(path(content), headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert registry.get(path(content), headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_namespace_in_the_query_is_accepted(registry: Registry) -> None:
    assert registry.get(path(registry.blobs[1]) + "?ns=quay.io").content == registry.blobs[1]
