"""A storage root that is named twice, by whatever path."""

from pathlib import Path

import pytest

from registry.storage.errors import StorageForeign
from registry.storage.roots import index_layout
from registry.storage.store import Store


def test_a_root_is_named_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Store.open([tmp_path / name]).close()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    for again in (tmp_path / "one", tmp_path / "link", tmp_path / "two" / ".." / "one"):
        for opening in (Store.open, index_layout):
            with pytest.raises(StorageForeign, match="is named twice"):
                opening([tmp_path / "one", again])
    with pytest.raises(StorageForeign, match="another store"):
        Store.open([tmp_path / "one", tmp_path / "two"])


def test_a_new_root_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(StorageForeign, match="is named twice"):
        Store.open([tmp_path / "new", tmp_path / "new"])
