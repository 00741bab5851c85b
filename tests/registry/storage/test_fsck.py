"""fsck: each kind of damage is told, repair mends what can be mended and keeps what may still be of use."""

from collections.abc import Callable

import pytest

from bench.layout import index
from registry.oci.digest import Digest
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage import inventory, keys
from registry.storage.fsck import fsck
from registry.storage.index import Change
from registry.storage.stats import measure
from registry.storage.store import Store
from registry.storage.tags import find_tags, remove_tags
from tests.images import publish, small_image, write_blob

NAME = RepositoryName("a/b")
NOWHERE = Digest.of(b"nowhere")
TREE = small_image("seed")
ROOT = Digest.parse(TREE.root.digest)
LAYER = next(Digest.parse(blob.digest) for blob in TREE.below if "layer" in blob.media_type)
SIGNATURE = small_image("signature", subject=TREE.root.descriptor())
SIGNED_BY = Digest.parse(SIGNATURE.root.digest)


@pytest.fixture
def filled(store: Store) -> Store:
    publish(store, TREE, "a/b:1")
    publish(store, SIGNATURE, "a/b:sig")
    publish(store, index([small_image("x"), small_image("y", arch="arm64")]), "other:1")
    return store


def test_a_whole_store_has_no_faults(filled: Store) -> None:
    assert list(fsck(filled)) == []
    assert list(fsck(filled, repair=True)) == []


def lose_row(table: str, key: bytes) -> Callable[[Change], object]:
    return lambda change: change.rows.delete(table, key)


def put_row(table: str, key: bytes, row: bytes = b"") -> Callable[[Change], object]:
    return lambda change: change.rows.put(table, key, row)


MENDED = {
    "a tag of no manifest": (put_row("tags", keys.tag_key(NAME, Tag("x")), keys.pack_digest(NOWHERE)), "a/b:x names"),
    "a link to no blob": (put_row("links", keys.digest_key(NAME, NOWHERE)), "is a link to a blob that is not there"),
    "a referrer that is not listed": (
        lose_row("referrers", keys.referrer_key(NAME, ROOT, SIGNED_BY)),
        "is not listed rightly as a referrer",
    ),
    "a referrer that is listed wrongly": (
        put_row("referrers", keys.referrer_key(NAME, ROOT, SIGNED_BY), b"{}"),
        "is not listed rightly as a referrer",
    ),
    "a referrer that is none": (put_row("referrers", keys.referrer_key(NAME, ROOT, NOWHERE), b"{}"), "and is none"),
    "a repository with nothing in it": (put_row("repositories", b"ghost"), "repository ghost has nothing in it"),
    "a repository that is not listed": (lose_row("repositories", b"a/b"), "repository a/b is not listed"),
}
LEFT = {
    "a manifest without its bytes": (lose_row("manifests", keys.pack_digest(SIGNED_BY)), "its bytes are lost"),
    "a manifest of other bytes": (put_row("manifests", keys.pack_digest(SIGNED_BY), b"{}"), "has other bytes"),
}


@pytest.mark.parametrize("damage", [*MENDED, *LEFT])
def test_damage_of_the_index_is_told_and_mended(filled: Store, damage: str) -> None:
    break_it, told = (MENDED | LEFT)[damage]
    with filled.index.change() as change:
        break_it(change)
    found = list(fsck(filled))
    assert any(told in f"{each.subject} {each.fault}" for each in found)
    assert not any(each.repaired for each in found)
    assert list(fsck(filled)) == found, "without repair nothing changes"
    assert all(each.repaired for each in fsck(filled, repair=True))
    assert list(fsck(filled)) == []
    assert filled.get_manifest(NAME, Tag("1")).digest == ROOT
    if damage in MENDED:
        assert [each.digest for each in filled.list_referrers(NAME, ROOT)] == [SIGNED_BY]


@pytest.mark.parametrize("damage", ["no file", "a shorter file"])
def test_a_blob_without_its_file_loses_its_row_and_what_needs_it_is_told_until_it_is_back(
    filled: Store, damage: str
) -> None:
    path = filled.blobs.path(0, LAYER)
    path.unlink() if damage == "no file" else path.write_bytes(b"x")
    repaired = {each.subject: each.repaired for each in fsck(filled, repair=True)}
    assert repaired == {f"blob {LAYER}": True, f"{NAME}@{ROOT}": False}
    assert [each.subject for each in fsck(filled)] == [f"{NAME}@{ROOT}"]
    publish(filled, TREE, "a/b:1")
    assert list(fsck(filled)) == []


def test_a_child_that_is_gone_is_told(filled: Store) -> None:
    other = RepositoryName("other")
    with filled.snapshot() as snapshot:
        tagged = snapshot.tagged(other, Tag("1"))
        child = next(each.digest for each in inventory.revisions(snapshot, other) if each.digest != tagged)
    filled.delete_manifest(other, child)
    (found,) = fsck(filled, repair=True)
    assert (found.subject, found.repaired) == (f"other@{tagged}", False)


def test_a_file_without_a_row_is_told_once_no_client_can_be_about_to_name_it(filled: Store) -> None:
    write_blob(filled, b"a push is about to name it")
    assert list(fsck(filled, repair=True)) == []


def test_tags_are_removed_by_pattern_and_what_they_named_stays(filled: Store) -> None:
    assert list(map(str, find_tags(filled, ["a/*"]))) == ["a/b:1", "a/b:sig"]
    assert find_tags(filled, ["b:1", "a"]) == []
    gone = Reference.parse("a/b:gone")
    found = [gone, *find_tags(filled, ["*:sig", "oth?r:*"])]
    assert list(map(str, remove_tags(filled, found))) == ["a/b:sig", "other:1"]
    assert filled.list_tags(NAME, "", None) == ["1"]
    assert filled.get_manifest(NAME, SIGNED_BY).digest == SIGNED_BY


def test_what_repositories_share_is_stored_once_and_counted_for_each(store: Store) -> None:
    publish(store, TREE, "a/b:1")
    publish(store, TREE, "a/b:2")
    publish(store, TREE, "other:1")
    publish(store, small_image("own", size=5000), "other:2")
    counted = measure(store)
    first, second = counted.repositories
    size = sum(blob.size for blob in TREE.blobs)
    assert (first.name, first.tags, first.manifests, first.blobs) == ("a/b", 2, 1, 2)
    assert (first.bytes, first.shared, second.shared) == (size, size, size)
    assert counted.unshared == counted.bytes + size
    assert (counted.tags, counted.manifests, counted.blobs) == (4, 2, 4)
    (root,) = counted.roots
    assert (root.blobs, root.bytes) == (4, store.stored_bytes())
    assert root.free > 0
