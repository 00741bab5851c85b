"""gc: what nothing needs goes, what a tag leads to or a client was just told of stays, beside whatever else happens."""

import os
import time
from pathlib import Path

import pytest

from bench.layout import Tree, index
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, ManifestBlobUnknown, ManifestUnknown, NameUnknown
from registry.oci.reference import RepositoryName, Tag
from registry.storage import inventory
from registry.storage.errors import BlobGone, StorageBusy
from registry.storage.fsck import fsck
from registry.storage.gc import Collection, Kind, Policy, Removed
from registry.storage.naming import name_blob
from registry.storage.roots import sync_directory
from registry.storage.store import Store
from registry.storage.uploads import LOAD_PREFIX, UploadFile
from tests.images import as_image, publish, small_image, write_blob

NAME, OTHER = RepositoryName("a/b"), RepositoryName("other")
AT_ONCE = Policy(grace=0, upload_age=0)
UNTAGGED = Policy(grace=0, upload_age=0, untagged=True)


def collect(store: Store, policy: Policy = AT_ONCE) -> list[Removed]:
    return list(Collection(store, policy).removals())


def kinds(removed: list[Removed]) -> set[Kind]:
    return {each.kind for each in removed}


def files(store: Store) -> set[str]:
    return {path.name for root in store.blobs.roots for path in root.layout.blobs.rglob("*") if path.is_file()}


def blobs_of(*trees: Tree) -> set[str]:
    manifests = {tree.root.hex for tree in trees}
    return {blob.hex for tree in trees for blob in tree.blobs if "manifest" not in blob.media_type} - manifests


def push_blob(store: Store, content: bytes, name: RepositoryName = NAME) -> Digest:
    upload = store.uploads.start(name)
    store.uploads.finish(name, upload, Digest.of(content), [content], None)
    return Digest.of(content)


def grow_old(store: Store, digest: Digest) -> None:
    """As if no client had been told of the blob for years."""
    with store.index.change() as change:
        blob = change.blob(digest)
        assert blob is not None
        change.put_blob(blob, 0)


def assert_consistent(store: Store) -> None:
    assert list(fsck(store)) == []
    with store.snapshot() as snapshot:
        assert files(store) == {blob.digest.hex for blob, _ in inventory.blobs(snapshot)}


def test_in_a_store_of_tagged_images_there_is_nothing_to_collect(store: Store) -> None:
    publish(store, index([small_image("x"), small_image("y", arch="arm64")]), "a/b:1")
    assert collect(store, UNTAGGED) == []


def test_a_deleted_manifest_takes_its_blobs_along_and_leaves_those_of_others(store: Store) -> None:
    going, staying = small_image("x"), small_image("y")
    root = publish(store, going, "a/b:1")
    publish(store, staying, "a/b:2")
    store.delete_manifest(NAME, root)
    removed = collect(store)
    assert kinds(removed) == {Kind.LINK, Kind.BODY, Kind.BLOB}
    assert {each.name for each in removed if each.kind is Kind.BLOB} == {blob.digest for blob in going.below}
    assert files(store) == blobs_of(staying)
    assert_consistent(store)


def test_a_blob_that_another_repository_sees_stays(store: Store) -> None:
    tree = small_image()
    root = publish(store, tree, "a/b:1")
    publish(store, tree, "other:1")
    store.delete_manifest(NAME, root)
    assert kinds(collect(store)) == {Kind.LINK, Kind.REPOSITORY}
    assert files(store) == blobs_of(tree)
    assert_consistent(store)


def test_a_repository_with_nothing_in_it_ends(store: Store) -> None:
    store.delete_manifest(NAME, publish(store, small_image(), "a/b:1"))
    collect(store)
    with pytest.raises(NameUnknown):
        store.list_tags(NAME, "", None)


def test_an_untagged_manifest_stays_unless_it_is_asked_for(store: Store) -> None:
    old = publish(store, small_image("x"), "a/b:1")
    new = publish(store, small_image("y"), "a/b:1")
    assert collect(store) == []
    assert Kind.MANIFEST in kinds(collect(store, UNTAGGED))
    with pytest.raises(ManifestUnknown):
        store.get_manifest(NAME, old)
    assert store.get_manifest(NAME, Tag("1")).digest == new
    assert_consistent(store)


def test_children_of_an_index_and_referrers_of_what_is_kept_are_no_untagged_manifests(store: Store) -> None:
    tree = index([small_image("x"), small_image("y", arch="arm64")])
    publish(store, tree, "a/b:1")
    signature = publish(store, small_image(subject=tree.root.descriptor()), "a/b:sig")
    sbom = publish(store, small_image(subject={**tree.root.descriptor(), "digest": str(signature)}), "a/b:sbom")
    for tag in ("sig", "sbom"):
        store.delete_manifest(NAME, Tag(tag))
    assert collect(store, UNTAGGED) == []
    store.delete_manifest(NAME, Tag("1"))
    removed = [each.name for each in collect(store, UNTAGGED) if each.kind is Kind.MANIFEST]
    assert {f"{NAME}@{digest}" for digest in (tree.root.digest, signature, sbom)} < set(removed)
    assert store.list_referrers(NAME, Digest.parse(tree.root.digest)) == []
    assert files(store) == set()


def test_an_index_goes_before_its_children(store: Store) -> None:
    tree = index([small_image("x"), small_image("y", arch="arm64")])
    root = publish(store, tree, "a/b:1")
    store.delete_manifest(NAME, Tag("1"))
    first = next(each for each in Collection(store, UNTAGGED).removals() if each.kind is Kind.MANIFEST)
    assert first.name == f"{NAME}@{root}"
    with pytest.raises(ManifestUnknown):
        store.get_manifest(NAME, root)
    for child in tree.below:
        if "manifest" in child.media_type:
            store.get_manifest(NAME, Digest.parse(child.digest))


def test_what_a_client_was_just_told_of_stays(store: Store) -> None:
    push_blob(store, b"pushed")
    publish(store, small_image("x"), "a/b:1")
    publish(store, small_image("y"), "a/b:1")  # the first one is untagged since now
    left_behind = write_blob(store, b"a file without a row")
    store.delete_manifest(OTHER, publish(store, small_image("z"), "other:1"))
    before = files(store)
    assert kinds(collect(store, Policy(untagged=True))) <= {Kind.BODY}
    assert files(store) == before
    assert left_behind.digest.hex in before


@pytest.mark.parametrize("told", ["pushed again", "mounted"])
def test_telling_a_client_again_makes_an_old_blob_young(store: Store, told: str) -> None:
    digest = push_blob(store, b"content")
    grow_old(store, digest)
    if told == "mounted":
        assert store.mount_blob(OTHER, digest, NAME)
    else:
        push_blob(store, b"content", OTHER)
    assert collect(store, Policy()) == []
    with store.snapshot() as snapshot:
        assert inventory.last_told(snapshot, digest) > 0


def test_an_old_blob_whose_file_was_just_written_stays(store: Store) -> None:
    """Somebody pushes it once more, and has not come to its row yet."""
    digest = push_blob(store, b"content")
    grow_old(store, digest)
    with store.index.change() as change:
        change.unlink_blob(NAME, digest)
    write_blob(store, b"content")
    assert kinds(collect(store, Policy())) <= {Kind.REPOSITORY}
    assert store.find_blob(digest) is not None


def test_a_file_that_went_before_its_row_came_is_told_and_never_promised(store: Store) -> None:
    blob = write_blob(store, b"content")
    assert kinds(collect(store)) == {Kind.FILE}
    with pytest.raises(BlobGone), store.index.change() as change:
        name_blob(change, store.blobs, blob)
    with store.snapshot() as snapshot:
        assert snapshot.blob(blob.digest) is None


def test_a_manifest_that_comes_after_its_blobs_went_is_refused(store: Store) -> None:
    made = as_image(store, small_image(), "a/b:1")
    for blob in made.blobs:
        with store.index.change() as change:
            name_blob(change, store.blobs, blob)
            change.link_blob(NAME, blob.digest)
    collect(store)
    ((digest, manifest),) = made.manifests
    with pytest.raises(ManifestBlobUnknown):
        store.put_manifest(NAME, digest, manifest, [Tag("1")])
    assert_consistent(store)


def test_a_manifest_that_comes_between_the_look_and_the_removal_keeps_its_blobs(store: Store) -> None:
    made = as_image(store, small_image("x"), "a/b:1")
    for name in (NAME, RepositoryName("a/a")):  # gc comes to a/a first
        for blob in made.blobs:
            with store.index.change() as change:
                name_blob(change, store.blobs, blob)
                change.link_blob(name, blob.digest)
    removals = Collection(store, AT_ONCE).removals()
    assert next(removals).kind is Kind.LINK
    ((digest, manifest),) = made.manifests
    store.put_manifest(NAME, digest, manifest, [Tag("1")])
    assert Kind.BLOB not in kinds(list(removals))
    assert_consistent(store)


def test_while_a_load_runs_blobs_stay_and_the_next_gc_takes_them(store: Store) -> None:
    store.delete_manifest(NAME, publish(store, small_image(), "a/b:1"))
    without_row = write_blob(store, b"of the load")
    upload = UploadFile.create(store.blobs.roots[0].layout, LOAD_PREFIX)
    collection = Collection(store, AT_ONCE)
    with store.loads.alone():
        at_work = UploadFile.create(store.blobs.roots[0].layout, LOAD_PREFIX)
        assert kinds(list(collection.removals())) == {Kind.LINK, Kind.REPOSITORY, Kind.BODY}
        assert at_work.path.exists()
        at_work.close()
    assert collection.postponed
    assert without_row.digest.hex in files(store)
    upload.close()
    again = Collection(store, AT_ONCE)
    assert kinds(list(again.removals())) == {Kind.FILE, Kind.BLOB}
    assert not again.postponed
    assert files(store) == set()


def test_one_gc_at_a_time(store: Store) -> None:
    push_blob(store, b"x")
    running = Collection(store, AT_ONCE).removals()
    next(running)
    with pytest.raises(StorageBusy):
        collect(store)
    list(running)
    assert collect(store) == []


def test_a_dry_run_tells_what_a_real_one_does_and_does_nothing(store: Store) -> None:
    publish(store, index([small_image("x"), small_image("y", arch="arm64")]), "a/b:1")
    publish(store, small_image("z"), "other:1")
    store.delete_manifest(NAME, Tag("1"))
    push_blob(store, b"needed by nothing", OTHER)
    write_blob(store, b"without a row")
    store.uploads.start(NAME)
    UploadFile.create(store.blobs.roots[0].layout, LOAD_PREFIX).close()
    before = files(store)
    told = collect(store, Policy(0, 0, untagged=True, dry_run=True))
    assert files(store) == before
    assert kinds(told) == set(Kind)
    assert sorted(map(str, collect(store, UNTAGGED))) == sorted(map(str, told))
    assert collect(store, UNTAGGED) == []


def test_a_manifest_that_cannot_be_read_keeps_all_of_its_repository(store: Store) -> None:
    root = publish(store, small_image(), "a/b:1")
    with store.index.change() as change:
        body = change.rows.get("manifests", b"\x01" + bytes.fromhex(root.hex))
        assert body is not None
        change.rows.put("manifests", b"\x01" + bytes.fromhex(root.hex), body[:-1])
    assert collect(store, UNTAGGED) == []


def test_a_file_beside_a_row_that_names_another_root_goes(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "one", tmp_path / "two"])
    tree = small_image()
    publish(store, tree, "a/b:1")
    blob = store.stat_blob(NAME, Digest.parse(tree.below[0].digest))
    spare = store.blobs.path(1 - blob.root, blob.digest)
    spare.parent.mkdir(parents=True)
    os.link(store.blobs.path(blob.root, blob.digest), spare)
    assert [each.name for each in collect(store)] == [str(blob.digest)]
    assert not spare.exists()
    assert_consistent(store)
    store.close()


def test_files_of_strangers_below_blobs_are_left_alone(store: Store) -> None:
    stranger = store.blobs.roots[0].layout.blobs / "sha256" / "ab" / "notes.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("x")
    sync_directory(stranger.parent)
    assert collect(store) == []
    assert stranger.exists()


def test_a_row_whose_file_is_gone_gives_way_to_a_new_file(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "one", tmp_path / "two"])
    digest = push_blob(store, b"content")
    blob = store.stat_blob(NAME, digest)
    store.blobs.path(blob.root, digest).unlink()
    assert store.find_blob(digest) is None
    assert not store.mount_blob(OTHER, digest, None)
    for _ in range(8):  # until chance has put it into either root
        push_blob(store, b"content")
        with store.open_blob(store.stat_blob(NAME, digest)) as file:
            assert file.read() == b"content"
    with pytest.raises(BlobUnknown):
        store.stat_blob(OTHER, digest)
    store.close()


def test_a_file_that_got_a_name_since_it_was_looked_at_stays(store: Store) -> None:
    digest = push_blob(store, b"content")
    assert Collection(store, AT_ONCE)._remove_files(0, [digest]) == []
    assert store.find_blob(digest) is not None


def test_what_came_while_the_clock_was_ahead_can_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = time.time() + 20 * 366 * 86400
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: ahead)
        store.delete_manifest(NAME, publish(store, small_image(), "a/b:1"))
        push_blob(store, b"never used")
    collect(store, Policy(grace=3600))
    assert len(files(store)) == 3
    collect(store)
    assert files(store) == set()
    assert_consistent(store)
