"""Storage roots: made once, recognised, refused when they are something else; content is spread over several."""

import json
from collections import Counter
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from registry.storage.errors import StorageForeign, StorageMissing, StorageUnusable
from registry.storage.roots import open_root, place
from registry.storage.store import Store


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


def test_a_root_that_was_left_out_is_told(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "a", tmp_path / "b"])
    store.close()
    alone = Store.open([tmp_path / "a"])
    with pytest.raises(StorageUnusable, match="--storage"):
        alone.blobs.path(1, Digest.of(b""))
    alone.close()
