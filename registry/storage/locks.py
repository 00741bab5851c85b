"""Locks that the kernel frees when their holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.storage.errors import disk_errors

_TABLE = Path("/proc/locks")


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock at `path`; True where the machine does not tell.

    It is looked up and not tried: whoever comes a moment later would find it held.
    """
    try:
        inode, table = path.stat().st_ino, _TABLE.read_text()
    except OSError:
        return True
    return any(line.split()[5].endswith(f":{inode}") for line in table.splitlines() if " FLOCK " in line)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = False, folder: bool = False) -> Iterator[bool]:
    """Hold the lock at `path`, a file or a directory, if nobody else does; tells whether.

    With `shared` others may share it; with `wait` it is held in the end; a `folder` that is gone is made anew.
    """
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    with disk_errors(path):
        if folder:
            path.mkdir(mode=0o755, exist_ok=True)
        flags = os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_CREAT
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, mode)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
