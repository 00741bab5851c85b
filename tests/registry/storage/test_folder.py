"""A directory of files for anybody: what is in it, by either spelling, and nothing else."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.storage.folder import Folder, is_file_name, spelling

NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+~-]{0,40}", fullmatch=True)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "secret").write_bytes(b"secret")
    made = tmp_path / "files"
    (made / "below").mkdir(parents=True)
    (made / "below" / "file").write_bytes(b"below")
    (made / ".hidden").write_bytes(b"hidden")
    (made / "k0s-v1.32.8+k0s.0-amd64").write_bytes(b"plus")
    (made / "link").symlink_to("../secret")
    (made / "inside").symlink_to("k0s-v1.32.8+k0s.0-amd64")
    (made / "dangling").symlink_to("nowhere")
    os.mkfifo(made / "pipe")
    return Folder(made)


def content(folder: Folder, name: str) -> bytes | None:
    file = folder.open(name)
    if file is None:
        return None
    with file:
        return file.read()


@pytest.mark.parametrize("name", ["k0s-v1.32.8+k0s.0-amd64", "k0s-v1.32.8-k0s.0-amd64", "k0s+v1.32.8+k0s.0+amd64"])
def test_plus_and_minus_are_one_spelling(folder: Folder, name: str) -> None:
    assert content(folder, name) == b"plus"


def test_the_very_name_wins(folder: Folder) -> None:
    (folder.path / "k0s-v1.32.8-k0s.0-amd64").write_bytes(b"minus")
    assert content(folder, "k0s-v1.32.8+k0s.0-amd64") == b"plus"
    assert content(folder, "k0s-v1.32.8-k0s.0-amd64") == b"minus"


@pytest.mark.parametrize("name", ["link", "inside", "dangling", "pipe", "below", ".hidden", "..", ".", "", "nothing"])
def test_links_folders_pipes_and_what_is_hidden_are_not_served(folder: Folder, name: str) -> None:
    assert content(folder, name) is None


def test_what_is_not_served_is_told_with_the_reason(folder: Folder) -> None:
    (folder.path / "a b").touch()
    assert dict(folder.left_out()) == {
        ".hidden": "is hidden",
        "a b": "has a name that none may be asked for",
        "below": "is a directory",
        "dangling": "is a symbolic link",
        "inside": "is a symbolic link",
        "link": "is a symbolic link",
        "pipe": "is no file",
    }
    assert [each.name for each in folder.list()] == ["k0s-v1.32.8+k0s.0-amd64"]
    assert dict(Folder(folder.path / "gone").left_out()) == {}


@pytest.mark.parametrize("name", ["below/file", "../secret", "/etc/passwd", "a\0b", "a\n", "a" * 256, "ä", "a b"])
def test_what_is_no_file_name_is_not_looked_for(folder: Folder, name: str) -> None:
    assert not is_file_name(name)
    assert content(folder, name) is None


def test_a_socket_is_no_file(folder: Folder) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.path / "socket"))
        assert content(folder, "socket") is None


def test_only_files_are_listed(folder: Folder) -> None:
    assert [(each.name, each.size) for each in folder.list()] == [("k0s-v1.32.8+k0s.0-amd64", 4)]


def test_a_folder_that_is_gone_has_nothing(tmp_path: Path) -> None:
    assert Folder(tmp_path / "gone").list() == []
    assert content(Folder(tmp_path / "gone"), "a") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.text(max_size=60))
def test_no_name_leads_out(folder: Folder, name: str) -> None:
    assert content(folder, name) in (None, b"plus")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(NAMES)
def test_a_file_is_found_by_every_spelling(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(name.encode())
    try:
        for asked in {name, spelling(name), name.replace("-", "+")} - {""}:
            if is_file_name(asked):
                assert content(Folder(tmp_path), asked) == name.encode()
    finally:
        file.unlink()
