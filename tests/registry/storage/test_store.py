"""The store: names after content, whole images, repositories that see only their own."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.layout import artifact, index
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, ManifestBlobUnknown, ManifestUnknown, NameUnknown
from registry.oci.reference import RepositoryName, Tag
from registry.storage.errors import StorageBusy
from registry.storage.listing import list_images
from registry.storage.store import Store
from tests.images import as_image, publish, small_image

NAME = RepositoryName("a/b")


def test_an_image_is_found_by_tag_and_by_digest(store: Store) -> None:
    tree = small_image()
    root = publish(store, tree, "a/b:1")
    by_tag, by_digest = store.get_manifest(NAME, Tag("1")), store.get_manifest(NAME, root)
    assert by_tag == by_digest
    assert by_tag.body == b"".join(tree.root.content)
    assert by_tag.media_type == tree.root.media_type


def test_an_index_comes_with_its_children_and_their_blobs(store: Store) -> None:
    children = [small_image("x"), small_image("y", arch="arm64")]
    tree = index(children)
    publish(store, tree, "a/b:1")
    for child in children:
        assert store.get_manifest(NAME, Digest.parse(child.root.digest)).digest.hex == child.root.hex
        for blob in child.below:
            assert store.stat_blob(NAME, Digest.parse(blob.digest)).size == blob.size


def test_nothing_is_named_before_its_blobs_are_there(store: Store) -> None:
    made = as_image(store, small_image(), "a/b:1")
    with pytest.raises(ManifestBlobUnknown):
        store.publish(replace(made, blobs=made.blobs[:1]))
    with pytest.raises(ManifestUnknown):
        store.get_manifest(NAME, Tag("1"))
    with pytest.raises(NameUnknown):
        store.list_tags(NAME, "", None)


def test_a_tag_is_not_given_to_a_manifest_that_is_not_there(store: Store) -> None:
    made = as_image(store, small_image(), "a/b:1")
    with pytest.raises(ManifestBlobUnknown):
        store.publish(replace(made, root=Digest.of(b"other")))


def test_a_repository_sees_only_its_own_blobs(store: Store) -> None:
    tree = small_image()
    publish(store, tree, "a/b:1")
    publish(store, small_image(), "other:1")
    for blob in tree.below:
        with pytest.raises(BlobUnknown):
            store.stat_blob(RepositoryName("other"), Digest.parse(blob.digest))
    with pytest.raises(ManifestUnknown):
        store.get_manifest(RepositoryName("other"), Digest.parse(tree.root.digest))


def test_a_manifest_is_no_blob_and_a_blob_no_manifest(store: Store) -> None:
    tree = small_image()
    root = publish(store, tree, "a/b:1")
    with pytest.raises(BlobUnknown):
        store.stat_blob(NAME, root)
    with pytest.raises(ManifestUnknown):
        store.get_manifest(NAME, Digest.parse(tree.below[0].digest))


def test_the_last_tag_wins_and_the_old_manifest_stays(store: Store) -> None:
    old = publish(store, small_image("old"), "a/b:1")
    new = publish(store, small_image("new"), "a/b:1")
    assert store.get_manifest(NAME, Tag("1")).digest == new
    assert store.get_manifest(NAME, old).digest == old


def test_tags_and_repositories_are_listed_in_pages(store: Store) -> None:
    tree = small_image()
    for tag in ("b", "B", "a", "1"):
        publish(store, tree, f"a/b:{tag}")
    publish(store, tree, "a:1")
    assert store.list_tags(NAME, "", None) == ["1", "B", "a", "b"]
    assert store.list_tags(NAME, "B", 1) == ["a"]
    assert store.list_tags(NAME, "A", 1) == ["B"]
    assert store.list_tags(NAME, "b", None) == store.list_tags(NAME, "", 0) == []
    assert store.list_repositories("", None) == ["a", "a/b"]
    assert store.list_repositories("a", 5) == ["a/b"]


def test_referrers_are_listed_whether_their_subject_exists_or_not(store: Store) -> None:
    subject = Digest.of(b"nowhere")
    descriptor = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": str(subject), "size": 7}
    root = publish(store, small_image(subject=descriptor, artifactType="application/sig"), "a/b:1")
    (found,) = store.list_referrers(NAME, subject)
    assert (found.digest, found.artifact_type) == (root, "application/sig")
    assert store.list_referrers(RepositoryName("other"), subject) == []
    assert store.list_referrers(NAME, Digest.of(b"nowhere", "sha512")) == []


def test_images_are_listed_with_the_size_of_all_they_need(store: Store) -> None:
    child = small_image()
    tree = index([child, child])
    publish(store, tree, "a/b:1")
    publish(store, artifact({"f": b"123"}), "c:1")
    first, second = list_images(store)
    assert first.size == sum(blob.size for blob in tree.blobs)
    assert (str(second.reference), second.size) == ("c:1", second.size)
    assert store.stored_bytes() == sum(blob.size for blob in child.below) + len(b"{}") + 3


def test_a_store_reopened_has_everything(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "s"])
    tree = small_image()
    root = publish(store, tree, "a/b:1")
    store.close()
    again = Store.open([tmp_path / "s"], create=False)
    assert again.get_manifest(NAME, Tag("1")).digest == root
    blob = again.stat_blob(NAME, Digest.parse(tree.below[1].digest))
    with again.open_blob(blob) as file:
        assert file.read() == b"".join(tree.below[1].content)
    again.close()


def test_only_one_load_may_run(store: Store) -> None:
    leftover = store.blobs.create(prefix="load-")
    leftover.write(b"half")
    with store.loads.alone():
        assert list(store.blobs.roots[0].layout.uploads.iterdir()) == []
        with pytest.raises(StorageBusy), store.loads.alone():
            pass
    with store.loads.alone():
        pass
    leftover.abort()


def test_a_load_leaves_the_uploads_of_clients_alone(store: Store) -> None:
    upload = store.blobs.create()
    with store.loads.alone():
        pass
    upload.write(b"abc")
    assert upload.commit().size == 3
