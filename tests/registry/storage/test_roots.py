"""Storage roots: made once, recognised, refused when they are something else; content is spread over several."""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from bench.layout import oci_archive
from registry.oci.digest import Digest
from registry.storage import inventory
from registry.storage.blobs import StoredBlob
from registry.storage.drain import give_up
from registry.storage.errors import RootMissing, StorageForeign, StorageMissing, StorageUnusable
from registry.storage.fsck import fsck
from registry.storage.listing import list_images
from registry.storage.roots import join, open_root, open_roots, place
from registry.storage.scrub import scrub
from registry.storage.store import Store
from tests.conftest import free_port, k0rdentd, serving
from tests.images import publish, small_image, write_tar


def test_a_root_keeps_its_identity(tmp_path: Path) -> None:
    assert open_root(tmp_path / "a", create=True).id == open_root(tmp_path / "a", create=False).id


def test_nothing_is_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(StorageMissing):
        Store.open([tmp_path / "a"], create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_somebody_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(StorageForeign, match=r"photo\.jpg"):
        open_root(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_disk_with_lost_and_found_is_an_empty_root(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    open_root(tmp_path, create=True)


def test_a_root_of_another_layout_is_refused(tmp_path: Path) -> None:
    root = open_root(tmp_path / "a", create=True)
    root.layout.version.write_text(json.dumps({"layout": 99, "id": root.id}))
    with pytest.raises(StorageForeign, match="99"):
        open_root(tmp_path / "a", create=True)


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"layout": "x", "id": 1}'])
def test_a_damaged_version_file_is_told(tmp_path: Path, text: str) -> None:
    root = open_root(tmp_path / "a", create=True)
    root.layout.version.write_text(text)
    with pytest.raises(StorageUnusable, match="VERSION"):
        open_root(tmp_path / "a", create=True)


def test_a_root_inside_of_another_ones_folders_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    outer, inner = tmp_path / "a", tmp_path / "link" / "x"
    (tmp_path / "link").symlink_to(outer / "blobs")
    for order in ([outer, inner], [inner, outer]):
        with pytest.raises(StorageForeign, match="name another directory"):
            Store.open(order)
        assert not outer.exists()
    Store.open([outer]).close()
    with pytest.raises(StorageForeign, match="name another directory"):
        Store.open([inner])
    assert not inner.exists()
    Store.open([outer, outer / "disk"]).close()


def test_a_half_made_root_is_finished(tmp_path: Path) -> None:
    (tmp_path / "a" / "blobs").mkdir(parents=True)
    (tmp_path / "a" / "VERSION.partial").write_text("{")
    assert open_root(tmp_path / "a", create=True).id


def test_content_is_spread_and_each_key_stays_where_it_is(tmp_path: Path) -> None:
    roots = [open_root(tmp_path / name, create=True) for name in "abc"]
    keys = [Digest.of(str(number).encode()).hex.encode() for number in range(600)]
    counts = Counter(place(roots, key).layout.root.name for key in keys)
    assert all(120 < count < 280 for count in counts.values()), counts
    assert [place(roots, key) for key in keys] == [place(roots, key) for key in keys]


def test_a_new_root_takes_a_share_and_moves_nothing_between_the_others(tmp_path: Path) -> None:
    roots = [open_root(tmp_path / name, create=True) for name in "abc"]
    for number in range(300):
        key = Digest.of(str(number).encode()).hex.encode()
        assert place(roots, key) in (place(roots[:2], key), roots[2])


def test_blobs_of_all_roots_are_found_in_whatever_order_the_roots_are_given(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    store = Store.open(paths)
    blobs = []
    for number in range(20):
        with store.blobs.create(Digest.of(bytes([number]))) as writer:
            writer.write(bytes([number]))
            blobs.append(writer.commit())
    store.close()
    assert {blob.root for blob in blobs} == {0, 1}
    again = Store.open(paths[::-1])
    found = [again.blobs.path(blob.root, blob.digest).read_bytes() for blob in blobs]
    assert found == [bytes([number]) for number in range(20)]
    again.close()


def test_roots_of_two_stores_are_not_mixed(tmp_path: Path) -> None:
    for name in "ab":
        Store.open([tmp_path / name]).close()
    with pytest.raises(StorageForeign, match="index of its own"):
        Store.open([tmp_path / "a", tmp_path / "b"])


IMAGES = [small_image(str(number)) for number in range(8)]


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """The roots of a store with images over both, of which the first has the index."""
    paths = [tmp_path / "a", tmp_path / "b"]
    store = Store.open(paths)
    for number, tree in enumerate(IMAGES):
        publish(store, tree, f"app:{number}")
    assert {blob.root for blob in blobs_of(store)} == {0, 1}
    store.close()
    return paths


def blobs_of(store: Store) -> list[StoredBlob]:
    with store.snapshot() as snapshot:
        return [blob for blob, _ in inventory.blobs(snapshot)]


def files_below(path: Path) -> set[Path]:
    return {each for each in path.rglob("*") if each.is_file()}


@pytest.mark.parametrize("command", ["ls", "stats", "gc", "scrub", "fsck", "missing"])
def test_a_root_without_the_index_of_its_store_is_refused_and_untouched(two: list[Path], command: str) -> None:
    before = files_below(two[1])
    done = k0rdentd("store", command, "-s", two[1])
    assert (done.returncode, "index is in another one: mount its disk and name all" in done.stderr) == (2, True), (
        done.stderr
    )
    assert files_below(two[1]) == before
    with pytest.raises(StorageMissing):
        Store.open([two[1]])
    Store.open(two, create=False).close()


def test_without_the_disk_that_has_the_index_nothing_is_made_in_its_place(two: list[Path]) -> None:
    two[0].rename(two[0].with_name("disk"))
    for create in (True, False):
        with pytest.raises(StorageMissing, match="mount"):
            Store.open(two, create=create)
        assert not two[0].exists()


def test_a_copy_of_a_root_is_no_second_one(two: list[Path]) -> None:
    shutil.copytree(two[1], two[1].with_name("copy"))
    with pytest.raises(StorageForeign, match=r"copy is a copy of .*/b: leave out"):
        Store.open([*two, two[1].with_name("copy")])


def test_a_root_of_another_store_is_refused(two: list[Path], tmp_path: Path) -> None:
    Store.open([tmp_path / "c"]).close()
    with pytest.raises(StorageForeign, match="another store"):
        Store.open([tmp_path / "c", two[1]])


def test_a_disk_that_is_not_mounted_is_no_new_root(two: list[Path]) -> None:
    disk = two[1].rename(two[1].with_name("disk"))
    for _ in range(2):
        with pytest.raises(RootMissing, match="is its disk mounted"):
            Store.open(two)
    assert not two[1].exists()
    Store.open([two[0], disk]).close()
    disk.rename(two[1])
    store = Store.open(two)
    assert all(store.blobs.has(blob) for blob in blobs_of(store))
    store.close()


@pytest.fixture
def without_disk(two: list[Path]) -> list[Path]:
    """The same, and the disk of the second root is elsewhere: an empty directory is in its place."""
    two[1].rename(two[1].with_name("disk"))
    two[1].mkdir()
    return two


@pytest.mark.parametrize("command", ["load", "registry", "store ls", "store fsck"])
def test_a_root_with_blobs_that_is_not_named_is_told_with_the_ways_out(
    two: list[Path], command: str, tmp_path: Path
) -> None:
    bundle = write_tar(tmp_path / "bundle.tar", {"app_0.tar": oci_archive(IMAGES[0])})
    lines = {
        "load": ("load", bundle, "--no-verify"),
        "registry": ("registry", "-p", str(free_port()), "-b", tmp_path / "gone.tar"),
    }
    before = files_below(two[0] / "blobs")
    done = k0rdentd(*lines.get(command, command.split()), "-s", two[0])
    assert done.returncode == 2, done
    root = open_root(two[1], create=False)
    assert f"the storage root {two[1]} (id {root.id}) has blobs of this store and is not given" in done.stderr
    assert f"run 'k0rdentd store drain --lost {two[1]} --storage {two[0]}'" in done.stderr
    assert files_below(two[0] / "blobs") == before


@pytest.mark.parametrize("command", ["load", "registry", "store gc", "store fsck"])
def test_a_root_whose_disk_is_not_mounted_is_told_and_its_directory_stays_empty(
    without_disk: list[Path], command: str, tmp_path: Path
) -> None:
    bundle = write_tar(tmp_path / "bundle.tar", {"app_0.tar": oci_archive(IMAGES[0])})
    lines = {"load": ("load", bundle, "--no-verify"), "registry": ("registry", "-p", str(free_port()))}
    done = k0rdentd(*lines.get(command, command.split()), "-s", without_disk[0], "-s", without_disk[1])
    assert (done.returncode, "is its disk mounted" in done.stderr) == (2, True), done.stderr
    assert f"store drain --lost {without_disk[1]}" in done.stderr
    assert list(without_disk[1].iterdir()) == []


def test_a_disk_that_goes_while_its_blobs_are_looked_at_loses_none(two: list[Path]) -> None:
    store = Store.open(two)
    rows = blobs_of(store)
    two[1].rename(two[1].with_name("disk"))
    for work in (scrub(store, restart=True), fsck(store, repair=True)):
        with pytest.raises(RootMissing, match="is its disk mounted"):
            list(work)
    assert blobs_of(store) == rows
    store.close()


def test_two_lost_disks_are_given_up_one_after_the_other(two: list[Path], tmp_path: Path) -> None:
    with closing(Store.open([*two, tmp_path / "c"])) as store:
        for number in range(8):
            publish(store, small_image(f"more {number}"), f"more:{number}")
        assert {blob.root for blob in blobs_of(store)} == {0, 1, 2}
    shutil.rmtree(two[1])
    shutil.rmtree(tmp_path / "c")
    for lost in (two[1], tmp_path / "c"):
        done = k0rdentd("store", "drain", "--lost", lost, "-s", two[0])
        assert done.returncode == 0, done.stderr
    with closing(Store.open(two[:1], create=False)) as store:
        assert {blob.root for blob in blobs_of(store)} == {0}


def test_a_lost_disk_is_given_up_and_its_blobs_are_brought_again(two: list[Path]) -> None:
    store = Store.open(two)
    lost = {blob.digest for blob in blobs_of(store) if blob.root == 1}
    store.close()
    shutil.rmtree(two[1])
    done = k0rdentd("store", "drain", "--lost", two[1], "-s", two[0])
    assert (done.returncode, f"lost {len(lost)} blobs" in done.stdout) == (0, True), done
    store = Store.open(two)
    assert not lost & {blob.digest for blob in blobs_of(store)}
    for number, tree in enumerate(IMAGES):
        publish(store, tree, f"app:{number}")
    assert lost <= {blob.digest for blob in blobs_of(store) if store.blobs.has(blob)}
    assert [finding for finding in fsck(store) if not finding.repaired] == []
    store.close()


def test_a_disk_that_is_there_is_not_given_up(two: list[Path], tmp_path: Path) -> None:
    store = Store.open(two)
    with pytest.raises(StorageForeign, match="not lost"):
        list(give_up(store, two[1]))
    for roots in (two, two[:1]):
        done = k0rdentd("store", "drain", "--lost", two[1], *(part for root in roots for part in ("-s", root)))
        assert (done.returncode, "its disk is there" in done.stderr) == (2, True), done.stderr
    assert all(store.blobs.has(blob) for blob in blobs_of(store))
    with pytest.raises(StorageMissing):
        list(give_up(store, tmp_path / "never"))
    store.close()


def test_without_its_index_a_store_is_read_by_nobody_and_begins_anew_when_it_is_written(two: list[Path]) -> None:
    shutil.rmtree(two[0] / "index")
    with pytest.raises(StorageUnusable, match=r"index .* is missing"):
        Store.open(two, create=False)
    assert not (two[0] / "index").exists()
    store = Store.open(two)
    publish(store, IMAGES[0], "app:0")
    assert [str(image.reference) for image in list_images(store)] == ["app:0"]
    store.close()


def test_a_registry_takes_another_empty_root(two: list[Path], tmp_path: Path) -> None:
    roots = [part for root in (*two, tmp_path / "c") for part in ("-s", root)]
    with serving(*roots, log=tmp_path / "log") as server:
        assert httpx.get(f"{server.url}/v2/app/tags/list").json()["tags"]


def test_a_root_that_was_left_out_is_told(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "a", tmp_path / "b"])
    store.close()
    alone = Store.open([tmp_path / "a"])
    with pytest.raises(RootMissing, match="--storage"):
        alone.blobs.path(1, Digest.of(b""))
    alone.close()


def test_many_may_make_the_roots_of_a_store_at_once(tmp_path: Path) -> None:
    def make(number: int) -> tuple[str, ...]:
        roots = [open_root(tmp_path / str(number // 8) / name, create=True) for name in "ab"]
        for root in roots:
            join(root, roots[0])
        return tuple(root.id for root in roots)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(128)))) == 16
    assert open_root(tmp_path / "3" / "b", create=False).store == open_root(tmp_path / "3" / "a", create=False).id


@contextmanager
def nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("hidden", [".", "index", "VERSION"])
@pytest.mark.parametrize("create", [True, False])
def test_a_store_that_one_may_not_see_is_told_in_a_sentence(hidden: str, create: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # below tmp_path nobody but root may look
        Path(folder).chmod(0o755)
        Store.open([Path(folder) / "s"]).close()
        (Path(folder) / "s" / hidden).chmod(0o700)
        with nobody(), pytest.raises(StorageUnusable, match="Permission denied; check its owner, mode and disk"):
            Store.open([Path(folder) / "s"], create=create)


def test_a_file_and_a_link_to_nowhere_are_no_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    for name in ("file", "link", "circle"):
        with pytest.raises(StorageForeign, match=f"{name} is no directory"):
            open_roots([tmp_path / name], create=True)
