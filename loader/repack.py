"""A bundle of any form into an uncompressed tar with an index in front; every file of it byte for byte."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from loader.errors import BundleInvalid, BundleMissing, BundleTruncated, MemberInvalid
from loader.folder import files_in
from loader.naming import below_root, bundle_stem, path_in_bundle
from loader.packing import INDEX_NAME, Packing, RoomTooSmall, packing
from loader.pieces import find_pieces, whole_name
from loader.rawfile import BundleFile
from loader.stream import EMPTY, FileStream, Window, open_stream
from loader.tar import PADDING, Entry, Kind, read_entries
from registry.transfer.tarball import padded

_LEAST_ROOM = 64 * 1024
# The vendor's bundle takes a byte of index for each 20 kB.
_ROOM_SHARE = 4096


@dataclass(frozen=True, slots=True)
class Repacked:
    """A member that was written, or with `note` the reason why it was not."""

    name: str
    size: int
    note: str | None = None


def repack(bundle: Path, out: Path, room: int | None = None) -> Iterator[Repacked]:
    """Write the content of `bundle` to `out`, which appears whole or not at all; memory stays flat.

    A load of `out` does what a load of `bundle` does, whatever the two are called, but for devices and the
    like, which are left out: no load takes them. Where the index takes
    more than the `room` that was left for it, all is written once more, and not told again.

    Raises:
        BundleInvalid: the bundle cannot be read to its end.
        ExportFailed: the disk is too small, or refuses.
    """
    _require_apart(bundle, out)
    size = _size(bundle)
    try:
        yield from _repack(bundle, out, room or _LEAST_ROOM + size // _ROOM_SHARE, size)
    except RoomTooSmall as error:
        for _ in _repack(bundle, out, padded(error.needed), size):
            pass


def _repack(bundle: Path, out: Path, room: int, size: int) -> Iterator[Repacked]:
    with packing(out, room, size) as packed:
        for entry in _entries(bundle):
            done = _add(entry, _path(entry.name, bundle, out), packed)
            if done is not None:
                yield done


def _add(entry: Entry, name: str, packed: Packing) -> Repacked | None:
    if entry.kind is Kind.DIRECTORY or entry.name == INDEX_NAME:
        return None
    if entry.kind in (Kind.OTHER, Kind.SPARSE):
        return Repacked(name, 0, f"it is a {entry.kind.value}")
    if entry.kind is Kind.LINK:
        packed.link(name, entry.target)
        return Repacked(name, 0)
    return Repacked(name, packed.add(name, entry.content, entry.mode).size)


def _path(name: str, bundle: Path, out: Path) -> str:
    """Where it has to be for a load of `out` to see it where a load of `bundle` does."""
    try:
        seen = below_root(name, bundle_stem(whole_name(bundle)), None)
        if below_root(name, bundle_stem(out.name), None) == seen:
            return name
    except MemberInvalid:
        return name
    return path_in_bundle(seen, bundle_stem(out.name))


def _entries(bundle: Path) -> Iterator[Entry]:
    try:
        yield from _directory_entries(bundle) if bundle.is_dir() else _tar_entries(bundle)
    except MemberInvalid as error:  # a header of the bundle itself
        raise BundleInvalid(f"{bundle}: {error}: copy it anew") from error


def _tar_entries(bundle: Path) -> Iterator[Entry]:
    truncated = BundleTruncated(f"{bundle} ends in the middle of a member: copy it anew")
    with closing(_open(bundle)) as file, open_stream(bundle, file) as stream:
        yield from read_entries(stream, truncated, end_marked=True)
        if stream.skip(PADDING) == PADDING:
            raise truncated


def _directory_entries(bundle: Path) -> Iterator[Entry]:
    for path in files_in(bundle):
        yield from _file_entry(path, bundle)


def _file_entry(path: Path, bundle: Path) -> Iterator[Entry]:
    name = path.relative_to(bundle).as_posix()
    if path.is_symlink():
        yield Entry(name, Kind.LINK, os.readlink(path), EMPTY)
    elif not path.is_file():
        yield Entry(name, Kind.OTHER, "", EMPTY)
    else:
        with closing(_open(path)) as file:
            shrunk = BundleInvalid(f"{path} shrank while it was read")
            content = Window(FileStream(path, file), file.size, shrunk)
            yield Entry(name, Kind.FILE, "", content, path.stat().st_mode & 0o777)


def _open(path: Path) -> BundleFile:
    try:
        return BundleFile(find_pieces(path) or (path,))
    except OSError as error:
        raise BundleInvalid(f"cannot open {path}: {error.strerror}") from error


def _size(bundle: Path) -> int:
    try:
        if not bundle.is_dir():
            return sum(piece.stat().st_size for piece in find_pieces(bundle) or (bundle,))
        return sum(path.lstat().st_size for path in files_in(bundle) if path.is_file())
    except OSError as error:
        raise BundleMissing(f"cannot open the bundle {bundle}: {error.strerror}") from error


def _require_apart(bundle: Path, out: Path) -> None:
    if bundle.is_dir() and out.absolute().resolve().is_relative_to(bundle.resolve()):
        raise BundleInvalid(f"{out} would become a part of {bundle}: name a file outside of it")
