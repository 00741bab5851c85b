"""Storage roots: several directories, usually disks, over which blobs are spread."""

import fcntl
import json
import math
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from registry.storage.errors import LOAD_AGAIN, StorageForeign, StorageMissing, StorageUnusable, disk_errors
from registry.storage.layout import VERSION, Layout

_LITTLE = 64 * 1024 * 1024  # a disk with less is full, as long as another has more


@dataclass(frozen=True, slots=True)
class Root:
    """One storage root; `number` is what the index calls it."""

    layout: Layout
    id: str
    number: int = 0


def open_root(path: Path, *, create: bool) -> Root:
    """The root at `path`, made first if it is an empty or missing directory and `create` says so.

    Raises:
        StorageMissing: nothing is there, and nothing was to be made.
        StorageForeign: the directory is something else, or of a newer release.
        StorageUnusable: it cannot be read or written.
    """
    layout = Layout(path.absolute())
    if create:
        _create(layout)
    if not layout.version.is_file():
        raise StorageMissing(f"no store at {layout.root}: load a bundle into it, or name another with --storage")
    return Root(layout, _read_id(layout))


def index_root(roots: Sequence[Root]) -> Root:
    """The root that holds the index, in whatever order they are named; the first one of a new store.

    Raises:
        StorageForeign: several do: they are roots of different stores.
    """
    holding = [root for root in roots if root.layout.index_file.exists()]
    if len(holding) > 1:
        raise StorageForeign(
            f"{holding[1].layout.root} has an index of its own, it belongs to another store: leave it out"
        )
    return holding[0] if holding else roots[0]


def require_index(roots: Sequence[Root]) -> None:
    """Raise StorageUnusable where blobs lie in the roots, and no index: a new one would know none of them."""
    if any(_has_content(root.layout.index_file) for root in roots):
        return
    holding = [root.layout for root in roots if next(root.layout.blobs.glob("*/*/*"), None) is not None]
    if holding:
        raise StorageUnusable(
            f"{holding[0].root} holds blobs, and its index {holding[0].index} is missing: name all roots of the store "
            f"with --storage; if it is lost, put a copy back, or {LOAD_AGAIN}"
        )


def index_layout(paths: Sequence[Path]) -> Layout:
    """Where the index and the keys of an existing store are, without opening it.

    Raises:
        StorageMissing, StorageForeign, StorageUnusable: as `open_root`.
    """
    return index_root([open_root(path, create=False) for path in paths]).layout


def place(roots: Sequence[Root], key: bytes) -> Root:
    """The root for new content: rendezvous hashing, weighted by classes of free space.

    The same key goes to the same root as long as no root changes its class (a power of two), and
    adding a root moves nothing that is there: the index remembers where each blob is.
    """
    if len(roots) == 1:
        return roots[0]
    staying = [root for root in roots if not root.layout.draining.exists()] or roots
    roomy = [root for root in staying if free_bytes(root) >= _LITTLE]
    return max(roomy or staying, key=lambda root: _score(root, key))


def free_bytes(root: Root) -> int:
    """What is left on the root's disk."""
    usage = os.statvfs(root.layout.root)
    return usage.f_bavail * usage.f_frsize


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _score(root: Root, key: bytes) -> float:
    weight = max(1, free_bytes(root) >> 30).bit_length()
    draw = (xxhash.xxh3_64_intdigest(root.id.encode() + key) + 1) / (2**64 + 1)
    return -weight / math.log(draw)


def _create(layout: Layout) -> None:
    with disk_errors(layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two processes may make the same new store
            if not layout.version.exists():
                _populate(layout)
        finally:
            os.close(lock)


def _populate(layout: Layout) -> None:
    # lost+found: a disk's own root directory is a storage root too.
    made_by_us = {"blobs", "uploads", "index", "lost+found", "VERSION.partial"}
    strangers = sorted(entry.name for entry in layout.root.iterdir() if entry.name not in made_by_us)
    if strangers:
        raise StorageForeign(f"{layout.root} holds {strangers[0]!r} and is no store: name an empty directory")
    layout.blobs.mkdir(exist_ok=True)
    layout.uploads.mkdir(mode=0o700, exist_ok=True)
    partial = layout.version.with_suffix(".partial")
    partial.write_text(json.dumps({"layout": VERSION, "id": str(uuid.uuid4())}) + "\n")
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(layout.version)
    sync_directory(layout.root)


def _read_id(layout: Layout) -> str:
    with disk_errors(layout.version):
        text = layout.version.read_text()
    try:
        document = json.loads(text)
        number, root_id = int(document["layout"]), str(document["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageUnusable(f"{layout.version} is unreadable: restore it, or name another storage") from error
    if number != VERSION:
        raise StorageForeign(
            f"{layout.root} has layout {number}, this release knows {VERSION}: use a matching k0rdentd"
        )
    return root_id


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
