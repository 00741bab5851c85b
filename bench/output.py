"""Puts the members of a bundle on disk: as a tar, packed or not, or as a directory."""

import shutil
import struct
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import zstandard
from isal import isal_zlib

from bench.archive import GZIP_HEADER, Entry, tar_chunks
from bench.bundle import Form

BUFFER = 1 << 20


def write_entries(entries: Iterable[Entry], out: Path, form: Form, frequent: Iterable[bytes] = ()) -> None:
    """Write `entries` to `out`, which appears whole or not at all; `frequent` are chunks that come many times."""
    with _published(out) as partial:
        if form == "dir":
            _write_directory(entries, partial)
        else:
            chunks = tar_chunks(entries, tarfile.GNU_FORMAT)  # as GNU tar, which the vendor uses
            _write_stream(_packed(chunks, form, frequent), partial)


def storable(entry: Entry) -> bool:
    """Whether a directory can hold this entry without leaving it, and without privileges."""
    path = PurePosixPath(entry.name)
    plain = entry.kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE)
    return plain and not path.is_absolute() and ".." not in path.parts


@contextmanager
def _published(out: Path) -> Iterator[Path]:
    if out.is_dir():
        raise FileExistsError(f"{out} is a directory already; name another, or remove it")
    partial = out.with_name(f"{out.name}.partial")
    _remove(partial)
    try:
        yield partial
        partial.rename(out)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _write_stream(chunks: Iterable[bytes], path: Path) -> None:
    """No fsync: a bundle that a power cut takes is made again."""
    with path.open("wb", buffering=BUFFER) as out:
        out.writelines(chunks)


def _packed(chunks: Iterable[bytes], form: Form, frequent: Iterable[bytes]) -> Iterable[bytes]:
    match form:
        case "tar.gz" | "tgz":
            return _gzip(chunks, frequent)
        case "tar.zst":
            return _zstd(chunks)
        case _:
            return chunks


def _gzip(chunks: Iterable[bytes], frequent: Iterable[bytes]) -> Iterator[bytes]:
    """One gzip member. `frequent` chunks are deflated once, or isal's 570 MB/s would set the pace."""
    ready = {chunk: _deflated(chunk) for chunk in frequent}
    deflating, crc, size = isal_zlib.compressobj(1, wbits=-15), 0, 0
    yield GZIP_HEADER
    for chunk in chunks:
        crc, size = isal_zlib.crc32(chunk, crc), size + len(chunk)
        if known := ready.get(chunk):  # free for a chunk seen before: bytes keep their hash
            yield deflating.flush(isal_zlib.Z_FULL_FLUSH) + known
        else:
            yield deflating.compress(chunk)
    yield deflating.flush() + struct.pack("<II", crc, size & 0xFFFFFFFF)


def _deflated(chunk: bytes) -> bytes:
    """Deflate blocks that can stand anywhere in a stream, once what comes before is flushed."""
    deflating = isal_zlib.compressobj(1, wbits=-15)
    return deflating.compress(chunk) + deflating.flush(isal_zlib.Z_FULL_FLUSH)


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packing = zstandard.ZstdCompressor(level=1, threads=2).compressobj()
    yield from map(packing.compress, chunks)
    yield packing.flush()


def _write_directory(entries: Iterable[Entry], root: Path) -> None:
    root.mkdir()
    for entry in entries:
        path = root / entry.name
        if entry.kind == tarfile.DIRTYPE:
            path.mkdir(exist_ok=True)
        elif entry.kind == tarfile.SYMTYPE:
            path.symlink_to(entry.target)
        else:
            _write_file(entry, path)


def _write_file(entry: Entry, path: Path) -> None:
    _write_stream(entry.content, path)
    path.chmod(entry.mode)
