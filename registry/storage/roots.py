"""Storage roots: several directories, usually disks, over which blobs are spread."""

import fcntl
import itertools
import json
import math
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import xxhash

from registry.storage.errors import (
    LOAD_AGAIN,
    RootMissing,
    StorageForeign,
    StorageMissing,
    StorageUnusable,
    disk_errors,
)
from registry.storage.layout import VERSION, Layout

_FOLDERS = frozenset({"blobs", "files", "index", "pki", "quarantine", "uploads"})
_LITTLE = 64 * 1024 * 1024  # a disk with less is full, as long as another has more


@dataclass(frozen=True, slots=True)
class Root:
    """One storage root; `number` is what the index calls it."""

    layout: Layout
    id: str
    number: int = 0
    store: str | None = None
    """The id of the root that has the index of its store, once it belongs to one."""


def open_root(path: Path, *, create: bool) -> Root:
    """The root at `path`, made first if it is an empty or missing directory and `create` says so.

    Raises:
        StorageMissing: nothing is there, and nothing was to be made.
        StorageForeign: the directory is something else, or of a newer release.
        StorageUnusable: it cannot be read or written, or its name cannot be kept in the index.
    """
    layout = Layout(path.absolute())
    try:
        str(layout.root).encode()
    except UnicodeEncodeError as error:
        what = f"{layout.root}: this path is not UTF-8"
        raise StorageUnusable(f"{what}: rename the directory, or choose another one") from error
    if create:
        _create(layout)
    if not is_root(layout.root):
        raise StorageMissing(f"no store at {layout.root}: load a bundle into it, or name another with --storage")
    return _read(layout)


def open_roots(paths: Sequence[Path], *, create: bool) -> list[Root]:
    """The roots at these paths.

    Raises:
        RootMissing: one is not there, and nothing was to be made.
        StorageMissing, StorageForeign, StorageUnusable: as `open_root`.
    """
    if not create:
        there = [path for path in paths if is_root(path)]
        absent = [path.absolute() for path in paths if path not in there]
        if there and absent:
            raise RootMissing(
                f"no storage root at {absent[0]}, and there is one at {there[0].absolute()}: is its disk mounted? "
                f"If it never was a root, leave it out; if it is lost, run 'k0rdentd store drain --lost {absent[0]}'"
            )
    for path in paths if create else ():
        _refuse_nested(path, paths)
    return [open_root(path, create=create) for path in paths]


def is_root(path: Path) -> bool:
    """Whether a storage root was ever made there.

    Raises:
        StorageUnusable: that may not be seen.
    """
    version = Layout(path).version
    with disk_errors(version):
        return version.is_file()


def join(root: Root, index: Root) -> None:
    """Let the root say that it belongs to the store whose index is in that one."""
    if root.store == index.id:
        return
    with _alone(root.layout):
        if _read(root.layout).store != index.id:
            _write(root.layout, root.id, index.id)


def index_root(roots: Sequence[Root]) -> Root:
    """The root that holds the index, in whatever order they are named; the first one of a new store.

    Raises:
        StorageForeign: they are roots of different stores, or one of them is named twice.
        StorageMissing: they are roots of a store whose index is in another one.
    """
    for first, second in itertools.combinations(roots, 2):
        if first.id == second.id:
            raise StorageForeign(_twice(first.layout.root, second.layout.root))
    holding = [root for root in roots if has_index(root.layout)]
    if len(holding) > 1:
        raise StorageForeign(
            f"{holding[1].layout.root} has an index of its own, it belongs to another store: leave it out"
        )
    found = holding[0] if holding else next((root for root in roots if root.store == root.id), roots[0])
    for root in roots:
        if root.store in (None, found.id):
            continue
        if holding:
            raise StorageForeign(f"{root.layout.root} is a root of another store: leave it out")
        raise StorageMissing(
            f"{root.layout.root} is a root of a store whose index is in another one: mount its disk and name all of "
            "them with --storage, or empty it to begin anew"
        )
    return found


def _twice(first: Path, second: Path) -> str:
    if first.samefile(second):
        return f"{second} is named twice: leave one of them out"
    return f"{second} is a copy of {first}: leave out the one that the store does not use"


def require_index(roots: Sequence[Root]) -> None:
    """Refuse to begin a new index where there is none.

    Raises:
        StorageUnusable: blobs lie in the roots, and a new index would know none of them.
        StorageMissing: there is nothing.
    """
    if any(_has_content(root.layout.index_file) for root in roots):
        return
    for layout in (root.layout for root in roots):
        if next(layout.blobs.glob("*/*/*"), None) is not None:
            raise StorageUnusable(
                f"{layout.root} holds blobs, and its index {layout.index} is missing: name all roots of the store "
                f"with --storage; if it is lost, put a copy back, or {LOAD_AGAIN}"
            )
    raise StorageMissing(f"no store at {roots[0].layout.root}: load a bundle into it, or name another with --storage")


def index_layout(paths: Sequence[Path]) -> Layout:
    """Where the index and the keys of an existing store are, without opening it.

    Raises:
        StorageMissing, StorageForeign, StorageUnusable: as `open_root`.
    """
    return index_root(open_roots(paths, create=False)).layout


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


def has_index(layout: Layout) -> bool:
    """Whether the index of a store is in this root.

    Raises:
        StorageUnusable: that may not be seen.
    """
    with disk_errors(layout.index_file):
        return layout.index_file.exists()


def _has_content(path: Path) -> bool:
    with disk_errors(path):
        return path.is_file() and path.stat().st_size > 0


def _score(root: Root, key: bytes) -> float:
    weight = max(1, free_bytes(root) >> 30).bit_length()
    draw = (xxhash.xxh3_64_intdigest(root.id.encode() + key) + 1) / (2**64 + 1)
    return -weight / math.log(draw)


def _create(layout: Layout) -> None:
    if os.path.lexists(layout.root) and not layout.root.is_dir():
        raise StorageForeign(f"{layout.root} is no directory: name an empty or a new one")
    with disk_errors(layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
        with _alone(layout):
            is_new = not layout.version.exists()
            if is_new:
                _refuse_strangers(layout)
            layout.blobs.mkdir(exist_ok=True)  # an old one too: somebody may have tidied up
            layout.uploads.mkdir(mode=0o700, exist_ok=True)
            if is_new:
                _write(layout, str(uuid.uuid4()), None)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Two processes may make the same new store."""
    with disk_errors(layout.root):
        lock = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _refuse_nested(path: Path, given: Sequence[Path]) -> None:
    """A new root may not be in a folder of another one: what lies there would be counted, and taken, for its own."""
    if is_root(path):
        return
    others, here = {os.path.realpath(other) for other in given}, Path(os.path.realpath(path))
    for outer in here.parents:
        folder = here.relative_to(outer).parts[0]
        if folder in _FOLDERS and (str(outer) in others or is_root(outer)):
            raise StorageForeign(
                f"{path} is inside of {outer / folder}, which the store at {outer} fills: name another directory"
            )


def _refuse_strangers(layout: Layout) -> None:
    # lost+found: a disk's own root directory is a storage root too.
    made_by_us = {"blobs", "uploads", "index", "lost+found", "VERSION.partial"}
    strangers = sorted(entry.name for entry in layout.root.iterdir() if entry.name not in made_by_us)
    if strangers:
        raise StorageForeign(f"{layout.root} holds {strangers[0]!r} and is no store: name an empty directory")


def _write(layout: Layout, root_id: str, store: str | None) -> None:
    partial = layout.version.with_suffix(".partial")
    with disk_errors(layout.version):
        partial.write_text(json.dumps({"layout": VERSION, "id": root_id, "store": store}) + "\n")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(layout.version)
        sync_directory(layout.root)


def _read(layout: Layout) -> Root:
    with disk_errors(layout.version):
        text = layout.version.read_text()
    try:
        document = json.loads(text)
        number, root_id, store = int(document["layout"]), str(document["id"]), document.get("store")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageUnusable(f"{layout.version} is unreadable: restore it, or name another storage") from error
    if number != VERSION:
        raise StorageForeign(
            f"{layout.root} has layout {number}, this release knows {VERSION}: use a matching k0rdentd"
        )
    return Root(layout, root_id, store=store)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
