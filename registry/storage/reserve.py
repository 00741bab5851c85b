"""A little disk that is kept back, so that a full one can still be told to forget something.

LMDB writes a changed page to a new place before the old one is free: to remove a row takes room.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.storage.errors import StorageFull, StorageReadOnly, disk_errors

_SIZE = 1 << 20
# With so much room left the index needs no help.
_ENOUGH = 8 << 20


def keep_reserve(path: Path) -> None:
    """Hold the room, unless the disk is full already."""
    with suppress(StorageFull, StorageReadOnly), disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _SIZE)
        finally:
            os.close(descriptor)


@contextmanager
def spending(path: Path) -> Iterator[None]:
    """For work that frees space: on a full disk it may use what is kept back, which is held again afterwards."""
    usage = os.statvfs(path.parent)
    if usage.f_bavail * usage.f_frsize < _ENOUGH:
        with suppress(StorageReadOnly), disk_errors(path):
            path.unlink(missing_ok=True)
    try:
        yield
    finally:
        keep_reserve(path)
