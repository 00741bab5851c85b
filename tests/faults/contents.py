"""Stores compared by what is on their disks."""

import hashlib
from pathlib import Path

from tests.conftest import listing


def blob_files(root: Path) -> dict[str, str]:
    """SHA-256 by name of every file below `blobs/`."""
    files = (path for path in (root / "blobs").rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def assert_blobs_are_what_they_are_called(root: Path) -> None:
    assert [name for name, digest in blob_files(root).items() if name != digest] == []


def assert_nothing_under_way(root: Path) -> None:
    assert list((root / "uploads").iterdir()) == []


def assert_same_store(root: Path, expected: Path) -> None:
    assert listing(root) == listing(expected)
    assert blob_files(root) == blob_files(expected)
    assert_nothing_under_way(root)
