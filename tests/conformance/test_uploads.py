"""end-4, end-5, end-6, end-13, end-14: blobs, in one request or in many."""

import random
import re

import pytest

from registry.oci.digest import Digest
from tests.conformance.repository import Repository, refused, slices

CONTENT = random.Random(__name__).randbytes(300_000)
DIGEST = Digest.of(CONTENT)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BAD_DIGESTS = [
    "nodigest",
    "sha256:xyz",
    f"sha256:{'A' * 64}",
    f"sha256:{'a' * 63}",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    f"blake3:{'a' * 64}",
    "",
]


def offset(repository: Repository, location: str) -> int:
    """How many bytes the registry says it has (end-13)."""
    answer = repository.get(location)
    assert answer.status_code == 204
    assert answer.headers["Location"] == location
    return int(answer.headers["Range"].removeprefix("0-")) + 1


def assert_pullable(repository: Repository, content: bytes, algorithm: str = "sha256") -> None:
    digest = Digest.of(content, algorithm)
    answer = repository.get(f"blobs/{digest}")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["Docker-Content-Digest"] == str(digest)


# end-4a, end-4c


@pytest.mark.parametrize("path", ["blobs/uploads/", "blobs/uploads"])
def test_end_4a_begins_an_upload_in_a_repository_that_need_not_exist(repository: Repository, path: str) -> None:
    answer = repository.request("POST", path)
    assert (answer.status_code, answer.content) == (202, b"")
    location, upload = answer.headers["Location"], answer.headers["Docker-Upload-UUID"]
    assert location == f"/v2/{repository.name}/blobs/uploads/{upload}"
    assert UUID.fullmatch(upload)
    assert (answer.headers["Range"], answer.headers["Content-Length"]) == ("0-0", "0")
    assert "OCI-Chunk-Min-Length" not in answer.headers


@pytest.mark.parametrize("name", ["UPPER", "a..b", "a___b", "-a", "a/", "a%0A", "a" * 256])
def test_an_upload_to_what_is_no_name_is_refused(repository: Repository, name: str) -> None:
    refused(repository.request("POST", f"/v2/{name}/blobs/uploads/"), 400, "NAME_INVALID")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_4c_takes_an_announced_algorithm(repository: Repository, algorithm: str) -> None:
    answer = repository.request("POST", f"blobs/uploads/?digest-algorithm={algorithm}")
    assert answer.status_code == 202
    assert repository.patch(answer.headers["Location"], CONTENT).status_code == 202
    assert repository.finish(answer.headers["Location"], Digest.of(CONTENT, algorithm)).status_code == 201
    assert_pullable(repository, CONTENT, algorithm)


@pytest.mark.parametrize("algorithm", ["md5", "blake3", "SHA256", ""])
def test_end_4c_refuses_an_unknown_algorithm(repository: Repository, algorithm: str) -> None:
    refused(repository.request("POST", f"blobs/uploads/?digest-algorithm={algorithm}"), 400, "DIGEST_INVALID")


# end-4b


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("content", [CONTENT, b"", b"{}"], ids=len)
def test_end_4b_stores_a_blob_in_one_request(repository: Repository, content: bytes, algorithm: str) -> None:
    digest = Digest.of(content, algorithm)
    answer = repository.request("POST", f"blobs/uploads/?digest={digest}", content=content)
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"] == f"/v2/{repository.name}/blobs/{digest}"
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert_pullable(repository, content, algorithm)
    head = repository.request("HEAD", answer.headers["Location"])
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(content)))


def test_end_4b_takes_a_body_without_a_length(repository: Repository) -> None:
    answer = repository.request("POST", f"blobs/uploads?digest={DIGEST}", content=slices(CONTENT, 9999))
    assert answer.status_code == 201
    assert_pullable(repository, CONTENT)


def test_end_4b_with_other_bytes_stores_nothing(repository: Repository) -> None:
    content = random.Random(__name__).randbytes(100)
    digest = Digest.of(content)
    refused(repository.request("POST", f"blobs/uploads/?digest={digest}", content=b"x"), 400, "DIGEST_INVALID")
    refused(repository.get(f"blobs/{digest}"), 404, "BLOB_UNKNOWN")


# Digests, in every form of upload


@pytest.mark.parametrize("digest", BAD_DIGESTS)
def test_what_is_no_digest_is_refused_everywhere_and_the_session_goes_on(repository: Repository, digest: str) -> None:
    answer = repository.request("POST", f"blobs/uploads/?digest={digest}", content=CONTENT)
    refused(answer, 400, "DIGEST_INVALID")
    location = repository.start()
    refused(repository.finish(location, digest, CONTENT), 400, "DIGEST_INVALID")
    assert repository.patch(location, CONTENT).status_code == 202
    refused(repository.finish(location, digest), 400, "DIGEST_INVALID")
    refused(repository.request("PUT", location), 400, "DIGEST_INVALID")
    assert repository.finish(location, DIGEST).status_code == 201


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_bytes_that_do_not_match_are_refused_and_end_the_session(repository: Repository, algorithm: str) -> None:
    wanted = Digest.of(random.Random(__name__).randbytes(10), algorithm)
    for patched in (b"", CONTENT):
        location = repository.start()
        if patched:
            repository.patch(location, patched)
        refused(repository.finish(location, wanted, b"other"), 400, "DIGEST_INVALID")
        refused(repository.get(location), 404, "BLOB_UPLOAD_UNKNOWN")
    refused(repository.get(f"blobs/{wanted}"), 404, "BLOB_UNKNOWN")


# end-5


def test_end_5_chunks_tell_the_whole_offset(repository: Repository) -> None:
    location, first = repository.start(), 0
    for chunk in slices(CONTENT, 70_000):
        answer = repository.patch(location, chunk, first)
        first += len(chunk)
        assert (answer.status_code, answer.content) == (202, b"")
        assert answer.headers["Location"] == location
        assert answer.headers["Range"] == f"0-{first - 1}"
        assert answer.headers["Docker-Upload-UUID"] in location
        assert offset(repository, location) == first
    assert repository.finish(location, DIGEST).status_code == 201
    assert_pullable(repository, CONTENT)


@pytest.mark.parametrize("pieces", [CONTENT, list(slices(CONTENT, 999))], ids=["with a length", "without one"])
def test_end_5_appends_a_stream_wherever_the_upload_stands(repository: Repository, pieces: bytes | list[bytes]) -> None:
    location = repository.start()
    for count in (1, 2):
        answer = repository.patch(location, pieces if isinstance(pieces, bytes) else iter(pieces))
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{count * len(CONTENT) - 1}")
    assert repository.finish(location, Digest.of(CONTENT * 2)).status_code == 201
    assert_pullable(repository, CONTENT * 2)


@pytest.mark.parametrize("first", [0, 1, 50_000, 99_999, 100_001, 10**18])
def test_end_5_out_of_order_is_a_416_and_changes_nothing(repository: Repository, first: int) -> None:
    location = repository.start()
    repository.patch(location, CONTENT[:100_000], 0)
    answer = repository.patch(location, CONTENT[:100_000], first)
    refused(answer, 416, "BLOB_UPLOAD_INVALID")
    assert (answer.headers["Location"], answer.headers["Range"]) == (location, "0-99999")
    assert offset(repository, location) == 100_000
    assert repository.patch(location, CONTENT[100_000:], 100_000).status_code == 202
    assert repository.finish(location, DIGEST).status_code == 201
    assert_pullable(repository, CONTENT)


def test_end_5_a_first_chunk_begins_at_0(repository: Repository) -> None:
    location = repository.start()
    answer = repository.patch(location, b"x" * 10, 5)
    refused(answer, 416, "BLOB_UPLOAD_INVALID")
    assert (answer.headers["Location"], answer.headers["Range"]) == (location, "0-0")
    assert repository.patch(location, b"x" * 10, 0).status_code == 202


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "0-",
        "-9",
        "a-b",
        "bytes 0-9/10",
        "bytes=0-9",
        "0-9/10",
        "0 - 9",
        "+0-9",
        "0-1_0",
        "0-9,10-19",
        "0" * 30 + "-9",
        "\u0660-\u0669",
    ],
)
def test_end_5_a_malformed_content_range_is_refused(repository: Repository, value: str) -> None:
    location = repository.start()
    headers = {"Content-Range": value.encode()}
    refused(repository.request("PATCH", location, content=b"x" * 10, headers=headers), 400, "BLOB_UPLOAD_INVALID")
    answer = repository.request("PUT", f"{location}?digest={DIGEST}", content=b"x" * 10, headers=headers)
    refused(answer, 400, "BLOB_UPLOAD_INVALID")
    assert repository.get(location).headers["Range"] == "0-0"
    assert repository.finish(location, DIGEST, CONTENT).status_code == 201


@pytest.mark.parametrize("value", ["0-8", "0-10", "9-0", "0-0"])
def test_end_5_a_content_range_of_another_length_is_refused(repository: Repository, value: str) -> None:
    location = repository.start()
    answer = repository.request("PATCH", location, content=b"x" * 10, headers={"Content-Range": value})
    refused(answer, 400, "SIZE_INVALID")
    assert repository.get(location).headers["Range"] == "0-0"
    assert repository.patch(location, b"x" * 10, 0).status_code == 202


@pytest.mark.parametrize(("value", "kept"), [("0-8", 0), ("0-99", 10)])
def test_end_5_a_chunk_without_a_length_still_has_to_be_as_long_as_it_says(
    repository: Repository, value: str, kept: int
) -> None:
    location = repository.start()
    answer = repository.request("PATCH", location, content=iter([b"x" * 10]), headers={"Content-Range": value})
    refused(answer, 400, "SIZE_INVALID")
    assert repository.get(location).headers["Range"] == f"0-{max(0, kept - 1)}"
    assert repository.patch(location, b"y", kept).status_code == 202


# end-6


def test_end_6_takes_the_whole_blob(repository: Repository) -> None:
    answer = repository.finish(repository.start(), DIGEST, CONTENT)
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["Location"] == f"/v2/{repository.name}/blobs/{DIGEST}"
    assert answer.headers["Docker-Content-Digest"] == str(DIGEST)
    assert_pullable(repository, CONTENT)


def test_end_6_takes_the_last_chunk_with_its_place(repository: Repository) -> None:
    location = repository.start()
    repository.patch(location, CONTENT[:200_000], 0)
    headers = {"Content-Range": f"200000-{len(CONTENT) - 1}"}
    answer = repository.request("PUT", f"{location}?digest={DIGEST}", content=CONTENT[200_000:], headers=headers)
    assert answer.status_code == 201
    assert_pullable(repository, CONTENT)


def test_end_6_takes_a_last_chunk_without_a_length(repository: Repository) -> None:
    location = repository.start()
    repository.patch(location, CONTENT[:200_000])
    assert repository.finish(location, DIGEST, slices(CONTENT[200_000:], 777)).status_code == 201
    assert_pullable(repository, CONTENT)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("patches", [0, 1, 2])
def test_end_6_takes_the_empty_blob_in_chunked_coding(repository: Repository, patches: int, algorithm: str) -> None:
    location = repository.start()
    for _ in range(patches):
        answer = repository.patch(location, iter(()))
        assert (answer.status_code, answer.headers["Range"]) == (202, "0-0")
    assert repository.finish(location, Digest.of(b"", algorithm), iter(())).status_code == 201
    assert_pullable(repository, b"", algorithm)


def test_end_6_out_of_order_is_a_416_and_the_right_chunk_succeeds_later(repository: Repository) -> None:
    location = repository.start()
    repository.patch(location, CONTENT[:100_000], 0)
    for first in (0, 200_000):
        headers = {"Content-Range": f"{first}-{first + 9}"}
        answer = repository.request("PUT", f"{location}?digest={DIGEST}", content=b"x" * 10, headers=headers)
        refused(answer, 416, "BLOB_UPLOAD_INVALID")
        assert (answer.headers["Location"], answer.headers["Range"]) == (location, "0-99999")
    assert repository.finish(location, DIGEST, CONTENT[100_000:]).status_code == 201
    assert_pullable(repository, CONTENT)


@pytest.mark.parametrize("chunks", [1, 4])
def test_end_6_the_final_digest_decides_the_algorithm(repository: Repository, chunks: int) -> None:
    location = repository.start()
    for chunk in slices(CONTENT, len(CONTENT) // chunks):
        repository.patch(location, chunk)
    assert repository.finish(location, Digest.of(CONTENT, "sha512")).status_code == 201
    assert_pullable(repository, CONTENT, "sha512")
    assert repository.status(f"blobs/{DIGEST}") == 404


def test_a_blob_that_is_there_is_taken_again(repository: Repository) -> None:
    for _ in range(2):
        assert repository.finish(repository.start(), DIGEST, CONTENT).status_code == 201
        repository.push_blob(CONTENT)
    assert_pullable(repository, CONTENT)
