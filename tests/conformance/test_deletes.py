"""end-9, end-10, and what listings (end-8, end-12) say after pushes and deletes."""

import os

import pytest

from bench.layout import INDEX, Tree, index
from registry.oci.digest import Digest
from tests.conformance.repository import Repository, refused
from tests.images import small_image


def delete(repository: Repository, path: str) -> None:
    answer = repository.request("DELETE", path)
    assert (answer.status_code, answer.content) == (202, b"")


def gone(repository: Repository, path: str, code: str) -> None:
    """At once, for every method."""
    assert repository.status(path) == 404
    refused(repository.get(path), 404, code)
    refused(repository.request("DELETE", path), 404, code)


def tagged(repository: Repository, *tags: str, algorithm: str = "sha256", tree: Tree | None = None) -> Digest:
    """The digest of a fresh image under these tags."""
    tree = tree or small_image()
    repository.push(tree)
    body = b"".join(tree.root.content)
    digest = Digest.of(body, algorithm)
    assert repository.put(digest, body, tree.root.media_type, tags).status_code == 201
    return digest


# end-9


def test_end_9_by_tag_removes_that_tag_alone(repository: Repository) -> None:
    digest = tagged(repository, "1", "2")
    delete(repository, "manifests/1")
    gone(repository, "manifests/1", "MANIFEST_UNKNOWN")
    assert repository.status("manifests/2") == repository.status(f"manifests/{digest}") == 200
    assert repository.tags() == ["2"]
    delete(repository, "manifests/2")
    assert repository.status(f"manifests/{digest}") == 200
    assert repository.tags() == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_9_by_digest_removes_every_tag_on_it_too(repository: Repository, algorithm: str) -> None:
    digest = tagged(repository, "1", "2", "z", algorithm=algorithm)
    kept = tagged(repository, "kept")
    delete(repository, f"manifests/{digest}")
    for reference in ("1", "2", "z", str(digest)):
        gone(repository, f"manifests/{reference}", "MANIFEST_UNKNOWN")
    assert repository.tags() == ["kept"]
    assert repository.status(f"manifests/{kept}") == 200


def test_end_9_by_digest_removes_its_place_among_the_referrers(repository: Repository) -> None:
    subject = small_image()
    first, second = (tagged(repository, tree=small_image(seed, subject=subject.root.descriptor())) for seed in "ab")
    assert repository.referrers(subject.root.digest) == sorted(map(str, (first, second)))
    delete(repository, f"manifests/{first}")
    assert repository.referrers(subject.root.digest) == [str(second)]
    delete(repository, f"manifests/{second}")
    assert repository.referrers(subject.root.digest) == []


def test_a_deleted_tag_leaves_the_referrer_listed(repository: Repository) -> None:
    subject = small_image()
    digest = tagged(repository, "sbom", tree=small_image(subject=subject.root.descriptor()))
    delete(repository, "manifests/sbom")
    assert repository.referrers(subject.root.digest) == [str(digest)]


def test_a_deleted_subject_keeps_its_referrers(repository: Repository) -> None:
    subject = small_image()
    repository.push(subject)
    referrer = tagged(repository, tree=small_image(subject=subject.root.descriptor()))
    delete(repository, f"manifests/{subject.root.digest}")
    assert repository.referrers(subject.root.digest) == [str(referrer)]
    assert repository.status(f"manifests/{referrer}") == 200


def test_a_deleted_index_leaves_its_children(repository: Repository) -> None:
    children = [small_image("x"), small_image("y", arch="arm64")]
    digest = repository.push(index(children), "multi")
    delete(repository, f"manifests/{digest}")
    gone(repository, "manifests/multi", "MANIFEST_UNKNOWN")
    for child in children:
        assert repository.status(f"manifests/{child.root.digest}") == 200


def test_a_child_may_be_deleted_before_its_index(repository: Repository) -> None:
    child = small_image()
    digest = repository.push(index([child]), "multi")
    delete(repository, f"manifests/{child.root.digest}")
    gone(repository, f"manifests/{child.root.digest}", "MANIFEST_UNKNOWN")
    assert repository.status(f"manifests/{digest}") == 200


@pytest.mark.parametrize("reference", ["1", ".INVALID", str(Digest.of(b"x")), str(Digest.of(b"x", "sha512"))])
@pytest.mark.parametrize("exists", [True, False])
def test_end_9_of_what_is_not_there_is_a_404(repository: Repository, reference: str, *, exists: bool) -> None:
    if exists:
        tagged(repository, "other")
    refused(repository.request("DELETE", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("path", ["manifests/sha256:xyz", "blobs/sha256:xyz", "blobs/md5:x"])
def test_a_delete_of_what_is_no_digest_is_refused(repository: Repository, path: str) -> None:
    refused(repository.request("DELETE", path), 400, "DIGEST_INVALID")


def test_a_deleted_manifest_stays_in_other_repositories(repository: Repository, other: Repository) -> None:
    tree = small_image()
    digest = tagged(repository, "1", tree=tree)
    tagged(other, "1", tree=tree)
    delete(repository, f"manifests/{digest}")
    assert other.get("manifests/1").content == b"".join(tree.root.content)
    assert other.tags() == ["1"]


def test_what_was_deleted_may_be_pushed_again(repository: Repository) -> None:
    tree = small_image()
    digest = tagged(repository, "1", tree=tree)
    delete(repository, f"manifests/{digest}")
    for blob in tree.below:
        delete(repository, f"blobs/{blob.digest}")
    assert repository.push(tree, "2") == digest
    assert repository.tags() == ["2"]
    for blob in tree.below:
        assert repository.get(f"blobs/{blob.digest}").content == b"".join(blob.content)


# end-10


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_end_10_unlinks_from_this_repository_alone(repository: Repository, other: Repository, algorithm: str) -> None:
    content = os.urandom(100_000)
    digest = repository.push_blob(content, algorithm)
    other.push_blob(content, algorithm)
    delete(repository, f"blobs/{digest}")
    gone(repository, f"blobs/{digest}", "BLOB_UNKNOWN")
    assert other.get(f"blobs/{digest}").content == content


def test_end_10_of_a_blob_that_a_manifest_needs_is_a_202(repository: Repository) -> None:
    tree = small_image()
    repository.push(tree, "1")
    for blob in tree.below:
        delete(repository, f"blobs/{blob.digest}")
        gone(repository, f"blobs/{blob.digest}", "BLOB_UNKNOWN")
    assert repository.status("manifests/1") == 200


def test_end_10_of_an_unknown_blob_is_a_404(repository: Repository, other: Repository) -> None:
    digest = other.push_blob(os.urandom(9))
    for path in (f"blobs/{digest}", f"blobs/{Digest.of(b'unknown')}"):
        refused(repository.request("DELETE", path), 404, "BLOB_UNKNOWN")


# end-8, end-12


def test_a_repository_of_blobs_alone_exists_and_has_no_tags(repository: Repository) -> None:
    refused(repository.get("tags/list"), 404, "NAME_UNKNOWN")
    repository.start()
    refused(repository.get("tags/list"), 404, "NAME_UNKNOWN")
    repository.push_blob(b"x")
    answer = repository.get("tags/list")
    assert (answer.status_code, answer.json()) == (200, {"name": repository.name, "tags": []})


def test_an_emptied_repository_still_answers(repository: Repository) -> None:
    digest = tagged(repository, "1")
    delete(repository, f"manifests/{digest}")
    assert repository.get("tags/list").json() == {"name": repository.name, "tags": []}


def test_tags_are_listed_bytewise_however_they_came(repository: Repository) -> None:
    tags = ["b", "B", "_", "a.1", "a-1", "a1", "10", "9", "Z" * 128]
    tagged(repository, *tags)
    assert repository.tags() == sorted(tags)
    delete(repository, "manifests/a1")
    tags.remove("a1")
    assert repository.get("tags/list?last=a1").json()["tags"] == [tag for tag in sorted(tags) if tag > "a1"]


def test_the_catalog_gains_what_is_pushed(repository: Repository) -> None:
    assert repository.name not in repository.get("/v2/_catalog").json()["repositories"]
    repository.push_blob(b"x")
    assert repository.name in repository.get("/v2/_catalog").json()["repositories"]


def test_referrers_go_by_the_very_digest_of_the_subject(repository: Repository, other: Repository) -> None:
    tree = small_image()
    body = b"".join(tree.root.content)
    strong = Digest.of(body, "sha512")
    digest = tagged(repository, tree=small_image(subject={**tree.root.descriptor(), "digest": str(strong)}))
    assert repository.referrers(strong) == [str(digest)]
    assert repository.referrers(tree.root.digest) == []
    assert other.referrers(strong) == []


def test_a_referrer_that_is_an_index_has_no_type_of_its_own(repository: Repository) -> None:
    subject = small_image()
    repository.push(index([], subject=subject.root.descriptor(), annotations={"a": "b"}))
    (descriptor,) = repository.get(f"referrers/{subject.root.digest}").json()["manifests"]
    assert "artifactType" not in descriptor
    assert descriptor["annotations"] == {"a": "b"}


@pytest.mark.parametrize("query", ["", "?artifactType=application/vnd.large%2Bjson"])
def test_referrers_that_fill_more_than_a_manifest_come_in_pages(repository: Repository, query: str) -> None:
    subject = Digest.of(os.urandom(9))
    wanted = []
    for number in range(5):
        document = {
            "schemaVersion": 2,
            "artifactType": "application/vnd.large+json",
            "manifests": [],
            "subject": {"mediaType": INDEX, "digest": str(subject), "size": 9},
            "annotations": {"filler": str(number) * 1_900_000},
        }
        wanted.append(repository.put(str(number), document, INDEX).headers["Docker-Content-Digest"])
    found, path = [], f"referrers/{subject}{query}"
    for _ in range(3):
        answer = repository.get(path)
        assert len(answer.content) <= 4 * 1024 * 1024
        assert ("OCI-Filters-Applied" in answer.headers) == bool(query)
        found += [each["digest"] for each in answer.json()["manifests"]]
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert path == ""
    assert found == sorted(wanted)
