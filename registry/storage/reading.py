"""Blob files read from the disk itself, at a chosen pace, leaving the page cache to the clients."""

import errno
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from registry.oci.digest import Digest

_CHUNK = 4 << 20


@dataclass(slots=True)
class Pace:
    """No more than `rate` bytes a second, in the long run; None: as fast as the disk is."""

    rate: int | None
    _due: float = field(default_factory=time.monotonic)

    def spend(self, size: int) -> None:
        """Wait until so many bytes may be read."""
        if self.rate is None:
            return
        now = time.monotonic()
        self._due = max(self._due, now - 1) + size / self.rate
        time.sleep(max(0.0, self._due - now))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file's bytes are; `hex` only where it was asked for."""

    inode: int
    size: int
    checksum: bytes
    hex: str | None = None


def check(path: Path, pace: Pace, proof: Digest | None = None) -> Checked:
    """Read a file to its end; with `proof` its bytes are hashed by that digest's algorithm too.

    Raises:
        OSError: it cannot be read.
    """
    checksum = xxhash.xxh3_128()
    hasher = proof.hasher() if proof else None
    size = 0
    descriptor, is_direct = _open(path)
    try:
        for chunk in _chunks(descriptor, is_direct=is_direct):
            checksum.update(chunk)
            if hasher is not None:
                hasher.update(chunk)
            size += len(chunk)
            pace.spend(len(chunk))
        inode = os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    return Checked(inode, size, checksum.digest(), hasher.hexdigest() if hasher else None)


def _open(path: Path) -> tuple[int, bool]:
    """Past the page cache where the file system can: what the disk has is to be seen, and nothing evicted."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.open(path, flags), False


def _chunks(descriptor: int, *, is_direct: bool) -> Iterator[memoryview]:
    buffer = memoryview(mmap.mmap(-1, _CHUNK))  # O_DIRECT wants whole pages
    offset, count = 0, _CHUNK
    while count == _CHUNK:
        count = os.preadv(descriptor, [buffer], offset)
        if not is_direct:
            os.posix_fadvise(descriptor, offset, count, os.POSIX_FADV_DONTNEED)
        offset += count
        yield buffer[:count]
