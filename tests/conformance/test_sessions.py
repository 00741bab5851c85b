"""end-13, end-14, and what an upload survives: old URLs, other workers, other clients."""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.oci.digest import Digest
from tests.conformance.repository import Repository, refused, slices

CONTENT = random.Random(__name__).randbytes(400_000)
DIGEST = Digest.of(CONTENT)
CLOSE = {"Connection": "close"}


def upload_files(repository: Repository) -> list[str]:
    """The sessions' files on disk."""
    return os.listdir(repository.server.log.parent / "store" / "uploads")


@pytest.mark.parametrize("query", ["", f"?digest={DIGEST}", "?_state=whatever"])
def test_end_13_tells_how_far_an_upload_is(repository: Repository, query: str) -> None:
    location = repository.start()
    for size, told in ((0, "0-0"), (1, "0-0"), (99, "0-99")):
        repository.patch(location, b"x" * size)
        answer = repository.get(location + query)
        assert (answer.status_code, answer.content, answer.headers["Range"]) == (204, b"", told)
        assert answer.headers["Location"] == location
        assert "Content-Length" not in answer.headers
        assert answer.headers["Docker-Upload-UUID"] in location


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "upload", ["00000000-0000-4000-8000-000000000000", "x", "%2e%2e", "a%00b", "x" * 300, "load-x", "%FF"]
)
def test_an_unknown_upload_is_a_404(repository: Repository, method: str, upload: str) -> None:
    answer = repository.request(method, f"blobs/uploads/{upload}?digest={DIGEST}", content=b"x")
    refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_an_upload_belongs_to_its_repository(repository: Repository, other: Repository, method: str) -> None:
    location = repository.start()
    elsewhere = location.replace(repository.name, other.name)
    answer = other.request(method, f"{elsewhere}?digest={DIGEST}", content=CONTENT)
    refused(answer, 404, "BLOB_UPLOAD_UNKNOWN")
    assert repository.finish(location, DIGEST, CONTENT).status_code == 201


@pytest.mark.parametrize("end", ["finished", "cancelled", "mismatched"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_an_upload_that_ended_is_unknown(repository: Repository, end: str, method: str) -> None:
    location = repository.start()
    repository.patch(location, CONTENT)
    match end:
        case "finished":
            assert repository.finish(location, DIGEST).status_code == 201
        case "cancelled":
            assert repository.request("DELETE", location).status_code == 204
        case _:
            assert repository.finish(location, Digest.of(b"other")).status_code == 400
    refused(repository.request(method, f"{location}?digest={DIGEST}"), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_other_methods_of_an_upload_are_a_405_that_says_which_there_are(repository: Repository, method: str) -> None:
    answer = repository.request(method, repository.start())
    assert answer.status_code == 405
    assert {"GET", "PATCH", "PUT", "DELETE"} <= set(answer.headers["Allow"].split(", "))
    if method == "POST":
        refused(answer, 405, "UNSUPPORTED")


def test_end_14_gives_the_space_back(repository: Repository) -> None:
    location = repository.start()
    repository.patch(location, CONTENT)
    (mine,) = [name for name in upload_files(repository) if name in location]
    answer = repository.request("DELETE", location)
    assert (answer.status_code, answer.content) == (204, b"")
    assert mine not in upload_files(repository)


def test_a_finished_or_refused_upload_leaves_no_file(repository: Repository) -> None:
    before = set(upload_files(repository))
    repository.push_blob(CONTENT)
    repository.finish(repository.start(), DIGEST, CONTENT)
    repository.finish(repository.start(), DIGEST, b"other")
    repository.request("POST", f"blobs/uploads/?digest={DIGEST}", content=b"other")
    assert set(upload_files(repository)) <= before


def test_the_first_location_is_as_good_as_the_newest(repository: Repository) -> None:
    location = repository.start()
    newest = repository.patch(location, CONTENT[:1000], 0).headers["Location"]
    newest = repository.patch(newest, CONTENT[1000:2000], 1000).headers["Location"]
    assert repository.get(location).headers["Range"] == "0-1999"
    refused(repository.patch(location, CONTENT[:1000], 0), 416, "BLOB_UPLOAD_INVALID")
    assert repository.patch(location, CONTENT[2000:], 2000).status_code == 202
    assert repository.get(newest).headers["Range"] == f"0-{len(CONTENT) - 1}"
    assert repository.finish(location, DIGEST).status_code == 201


def test_every_chunk_may_meet_another_worker(repository: Repository) -> None:
    location, first = repository.start(), 0
    for chunk in slices(CONTENT, 20_000):
        headers = {**CLOSE, "Content-Range": f"{first}-{first + len(chunk) - 1}"}
        answer = repository.request("PATCH", location, content=chunk, headers=headers)
        first += len(chunk)
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{first - 1}")
        assert repository.request("GET", location, headers=CLOSE).headers["Range"] == f"0-{first - 1}"
    assert repository.request("PUT", f"{location}?digest={DIGEST}", headers=CLOSE).status_code == 201
    for _ in range(8):
        assert repository.request("GET", f"blobs/{DIGEST}", headers=CLOSE).content == CONTENT


def test_of_two_writers_one_waits_its_turn(repository: Repository) -> None:
    location = repository.start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: repository.patch(location, CONTENT, 0), range(8)))
    taken = [answer for answer in answers if answer.status_code == 202]
    assert len(taken) == 1
    for answer in answers:
        if answer not in taken:
            assert answer.status_code in (416, 429)
            assert answer.status_code == 416 or int(answer.headers["Retry-After"]) > 0
    assert repository.finish(location, DIGEST).status_code == 201


def test_of_two_that_finish_one_does_and_the_blob_is_whole(repository: Repository) -> None:
    for _ in range(5):
        location = repository.start()
        repository.patch(location, CONTENT)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(repository.finish, [location] * 4, [DIGEST] * 4))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 201
        assert set(statuses[1:]) <= {404, 429}
        assert repository.get(f"blobs/{DIGEST}").content == CONTENT


def test_the_same_blob_by_many_at_once_is_a_201_for_each(repository: Repository) -> None:
    content = random.Random(__name__).randbytes(3_000_000)
    digest = Digest.of(content)

    def push(number: int) -> int:
        if number % 2:
            return repository.request("POST", f"blobs/uploads/?digest={digest}", content=content).status_code
        location = repository.start()
        assert repository.patch(location, content).status_code == 202
        return repository.finish(location, digest).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(push, range(8))) == [201] * 8
    assert repository.get(f"blobs/{digest}").content == content
