"""A folder as a tar compressed with zstd, the same bytes for the same content."""

import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import zstandard


def pack(tree: Path, target: Path, level: int) -> int:
    """Write `target`; how much `tree` takes on a disk."""
    # Any number of threads makes the same bytes.
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, threads=-1)
    unpacked = 0
    with (
        target.open("wb") as file,
        compressor.stream_writer(file) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT, bufsize=1 << 20) as tar,
    ):
        for path in sorted(tree.rglob("*")):
            unpacked += _add(tar, tree, path)
    return unpacked


def _add(tar: tarfile.TarFile, tree: Path, path: Path) -> int:
    entry = tarfile.TarInfo(path.relative_to(tree).as_posix())
    if path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
        return 4096
    entry.mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
    entry.size = path.stat().st_size
    with path.open("rb") as file:
        tar.addfile(entry, file)
    return entry.size + -entry.size % 4096


def files(tree: Path) -> Iterator[Path]:
    """All regular files below `tree`, in order."""
    return (path for path in sorted(tree.rglob("*")) if path.is_file())
