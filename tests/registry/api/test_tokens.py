"""The key that signs tokens: made once, and read from then on."""

import os
import stat
from pathlib import Path

import pytest

from registry.api.tokens import open_key
from registry.storage.errors import StorageError


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "pki" / "token.key"
    assert open_key(path) == path.read_bytes()
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["token.key"]


def test_a_key_that_is_there_is_read_and_what_was_left_beside_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    key = open_key(path)
    (tmp_path / ".token.key.4711.partial").write_bytes(b"")
    assert open_key(path) == key
    assert [each.name for each in tmp_path.iterdir()] == ["token.key"]
    before = tmp_path.stat().st_mtime_ns
    assert open_key(path) == key
    assert tmp_path.stat().st_mtime_ns == before  # nothing was made, not even for a moment


def test_a_key_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        open_key(tmp_path / "pki" / "token.key")
    assert list((tmp_path / "pki").iterdir()) == []
