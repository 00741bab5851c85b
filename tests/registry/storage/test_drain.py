"""drain: a root gives its blobs to the others, and can go."""

import shutil
import subprocess
from pathlib import Path

import pytest

from registry.oci.errors import DigestInvalid
from registry.oci.reference import RepositoryName, Tag
from registry.storage import inventory
from registry.storage.drain import drain, stop_draining
from registry.storage.errors import StorageForeign, StorageUnusable
from registry.storage.fsck import fsck
from registry.storage.gc import Collection, Policy
from registry.storage.store import Store
from tests.conftest import k0rdentd
from tests.images import publish, small_image, write_blob

NAME = RepositoryName("app")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [tmp_path / "first", tmp_path / "second"]


@pytest.fixture
def both(paths: list[Path]) -> Store:
    """Twenty images over two roots, of which the first has the index."""
    store = Store.open(paths)
    for number in range(20):
        publish(store, small_image(str(number), 2000), f"app:{number}")
    assert all(any((path / "blobs").rglob("??*/*")) for path in paths)
    return store


def roots_of_rows(store: Store) -> set[int]:
    with store.snapshot() as snapshot:
        return {blob.root for blob, _ in inventory.blobs(snapshot)}


def assert_all_is_here(store: Store) -> None:
    assert len(store.list_tags(NAME, "", None)) == 20
    with store.snapshot() as snapshot:
        rows = [blob for blob, _ in inventory.blobs(snapshot)]
    assert len(rows) == 40
    for blob in rows:
        with store.open_blob(blob) as file:
            assert blob.digest.hasher() is not None
            assert len(file.read()) == blob.size


def test_a_drained_root_can_go(both: Store, paths: list[Path]) -> None:
    moved = list(drain(both, both.blobs.roots[1]))
    assert moved
    assert {blob.root for blob in moved} == {both.blobs.roots[1].number}
    assert roots_of_rows(both) == {both.blobs.roots[0].number}
    both.close()
    shutil.rmtree(paths[1])
    alone = Store.open(paths[:1], create=False)
    assert_all_is_here(alone)


def test_who_looked_a_blob_up_before_it_moved_still_gets_it(both: Store) -> None:
    leaving = both.blobs.roots[1]
    with both.snapshot() as snapshot:
        seen = next(blob for blob, _ in inventory.blobs(snapshot) if blob.root == leaving.number)
    list(drain(both, leaving))
    with both.open_blob(seen) as file:
        assert len(file.read()) == seen.size


def test_gc_removes_what_a_drained_root_still_has(both: Store, paths: list[Path]) -> None:
    list(drain(both, both.blobs.roots[1]))
    list(Collection(both, Policy(0, 60, untagged=False)).removals())
    assert not [path for path in (paths[1] / "blobs").rglob("*") if path.is_file()]
    assert_all_is_here(both)


def test_a_root_that_leaves_gets_no_new_blobs_until_it_stays(both: Store) -> None:
    list(drain(both, both.blobs.roots[1]))
    assert {write_blob(both, f"{number}".encode()).root for number in range(40)} == {both.blobs.roots[0].number}
    stop_draining(both.blobs.roots[1])
    assert {write_blob(both, f"x{number}".encode()).root for number in range(40)} == {
        root.number for root in both.blobs.roots
    }


def test_a_drain_that_is_stopped_goes_on(both: Store) -> None:
    draining = drain(both, both.blobs.roots[1])
    first = next(draining)
    del draining
    assert first.digest not in {blob.digest for blob in drain(both, both.blobs.roots[1])}
    assert roots_of_rows(both) == {both.blobs.roots[0].number}
    assert_all_is_here(both)


def test_a_bad_blob_is_not_carried_over(both: Store) -> None:
    leaving = both.blobs.roots[1]
    with both.snapshot() as snapshot:
        bad = next(blob for blob, _ in inventory.blobs(snapshot) if blob.root == leaving.number)
    path = both.blobs.path(bad.root, bad.digest)
    path.write_bytes(b"x" * bad.size)
    with pytest.raises(DigestInvalid):
        list(drain(both, leaving))
    with both.snapshot() as snapshot:
        assert snapshot.blob(bad.digest) == bad


def test_the_root_of_the_index_and_the_last_one_stay(both: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageForeign, match=r"holds the index.*stop the registry, copy all of it"):
        list(drain(both, both.blobs.roots[0]))
    lonely = Store.open([tmp_path / "lonely"])
    with pytest.raises(StorageForeign, match="only storage"):
        list(drain(lonely, lonely.blobs.roots[0]))


def test_the_root_of_the_index_moves_as_its_message_says(both: Store, paths: list[Path], tmp_path: Path) -> None:
    with both.snapshot() as snapshot:
        before = [blob for blob, _ in inventory.blobs(snapshot)]
    both.close()
    subprocess.run(["cp", "-a", paths[0], tmp_path / "moved"], check=True)
    shutil.rmtree(paths[0])
    moved = Store.open([tmp_path / "moved", paths[1]], create=False)
    with moved.snapshot() as snapshot:
        assert [blob for blob, _ in inventory.blobs(snapshot)] == before
    assert list(fsck(moved)) == []
    moved.close()


def test_the_command_says_what_it_moved(both: Store, paths: list[Path]) -> None:
    both.close()
    done = k0rdentd("store", "drain", paths[1], "-s", paths[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{paths[1]} can be left out of --storage" in done.stdout.splitlines()[-1]
    again = k0rdentd("store", "drain", paths[1], "-s", paths[0])
    assert again.stdout.startswith("moved 0 blobs")
    cancelled = k0rdentd("store", "drain", paths[1], "-s", paths[0], "--cancel")
    assert (cancelled.returncode, (paths[1] / "DRAINING").exists()) == (0, False)
    assert Store.open(paths[:1]).get_manifest(NAME, Tag("1")).digest


def test_a_blob_that_the_disk_does_not_give_is_told_in_a_sentence(both: Store) -> None:
    leaving = both.blobs.roots[1]
    with both.snapshot() as snapshot:
        bad = next(blob for blob, _ in inventory.blobs(snapshot) if blob.root == leaving.number)
    path = both.blobs.path(bad.root, bad.digest)
    path.unlink()
    path.symlink_to("/proc/self/mem")  # its first page is in no process's memory: EIO
    with pytest.raises(StorageUnusable, match="Input/output"):
        list(drain(both, leaving))
    assert not [path for root in both.blobs.roots for path in root.layout.uploads.iterdir()]
