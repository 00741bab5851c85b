"""end-11: a blob of another repository without sending it again."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.oci.digest import Digest
from tests.conformance.repository import Repository, refused
from tests.images import small_image


def mount(repository: Repository, digest: Digest | str, source: str | None = None, more: str = "") -> tuple[int, str]:
    """The status, and where the answer leads."""
    asked = "" if source is None else f"&from={source}"
    answer = repository.request("POST", f"blobs/uploads/?mount={digest}{asked}{more}")
    if answer.status_code == 201:
        assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert answer.content == b""
    return answer.status_code, answer.headers["Location"]


def is_an_upload(repository: Repository, answer: tuple[int, str]) -> bool:
    """202, and an upload that works."""
    status, location = answer
    content = os.urandom(10)
    prefix = f"/v2/{repository.name}/blobs/uploads/"
    finished = repository.finish(location, Digest.of(content), content)
    return status == 202 and location.startswith(prefix) and finished.status_code == 201


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_of_another_repository_is_mounted(repository: Repository, other: Repository, algorithm: str) -> None:
    content = os.urandom(100_000)
    digest = other.push_blob(content, algorithm)
    assert repository.status(f"blobs/{digest}") == 404
    assert mount(repository, digest, other.name) == (201, f"/v2/{repository.name}/blobs/{digest}")
    assert repository.get(f"blobs/{digest}").content == content


def test_a_mounted_blob_stays_when_its_source_is_deleted(repository: Repository, other: Repository) -> None:
    digest = other.push_blob(os.urandom(100))
    mount(repository, digest, other.name)
    other.request("DELETE", f"blobs/{digest}")
    assert (repository.status(f"blobs/{digest}"), other.status(f"blobs/{digest}")) == (200, 404)


def test_a_blob_that_the_source_does_not_have_is_an_upload(repository: Repository, other: Repository) -> None:
    third = Repository(other.server, other.client, other.name + "/elsewhere")
    digest = third.push_blob(os.urandom(100))
    other.push_blob(b"something")
    assert is_an_upload(repository, mount(repository, digest, other.name))
    assert is_an_upload(repository, mount(repository, Digest.of(os.urandom(9)), third.name))
    assert repository.status(f"blobs/{digest}") == 404


@pytest.mark.parametrize("source", ["no/such/repository", "NO NAME", "..", "", "a%00b", "x" * 300])
def test_an_unknown_or_impossible_source_is_an_upload(repository: Repository, other: Repository, source: str) -> None:
    digest = other.push_blob(os.urandom(100))
    assert is_an_upload(repository, mount(repository, digest, source))


def test_without_a_source_any_repository_will_do(repository: Repository, other: Repository) -> None:
    digest = other.push_blob(os.urandom(100))
    assert mount(repository, digest) == (201, f"/v2/{repository.name}/blobs/{digest}")
    assert repository.status(f"blobs/{digest}") == 200


def test_without_a_source_a_blob_that_nobody_has_is_an_upload(repository: Repository) -> None:
    assert is_an_upload(repository, mount(repository, Digest.of(os.urandom(100))))


@pytest.mark.parametrize("source", [None, "no/such/repository", "itself"])
def test_a_blob_that_is_there_already_is_mounted(repository: Repository, source: str | None) -> None:
    digest = repository.push_blob(os.urandom(100))
    source = repository.name if source == "itself" else source
    assert mount(repository, digest, source) == (201, f"/v2/{repository.name}/blobs/{digest}")


def test_a_manifest_is_no_blob(repository: Repository, other: Repository) -> None:
    digest = other.push(small_image())
    assert is_an_upload(repository, mount(repository, digest, other.name))
    assert is_an_upload(repository, mount(repository, digest))


def test_a_failed_mount_takes_no_body(repository: Repository) -> None:
    content = os.urandom(100)
    digest = Digest.of(content)
    answer = repository.request("POST", f"blobs/uploads/?mount={digest}&from=nowhere", content=content)
    assert (answer.status_code, answer.headers["Range"]) == (202, "0-0")
    assert repository.status(f"blobs/{digest}") == 404


@pytest.mark.parametrize("digest", ["nodigest", "sha256:xyz", "md5:d41d8cd98f00b204e9800998ecf8427e", ""])
def test_what_is_no_digest_is_not_mounted(repository: Repository, digest: str) -> None:
    refused(repository.request("POST", f"blobs/uploads/?mount={digest}&from=a"), 400, "DIGEST_INVALID")


def test_many_mounts_at_once_are_a_201_for_each(repository: Repository, other: Repository) -> None:
    digest = other.push_blob(os.urandom(100))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: mount(repository, digest, other.name)[0], range(16)))
    assert answers == [201] * 16
