"""Bytes on their way to becoming a blob: a file that grows, whose length is the offset."""

import fcntl
import os
import uuid
from pathlib import Path
from typing import Self

from registry.storage.errors import disk_errors
from registry.storage.layout import Layout

# What a load leaves behind when it is killed; the next load, alone under its lock, removes these.
LOAD_PREFIX = "load-"


class UploadFile:
    """An append-only file below `uploads/`; nothing in it is visible to anybody yet."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, layout: Layout, prefix: str = "") -> Self:
        """A new, empty file with a name of its own."""
        return cls.create_at(layout.upload(f"{prefix}{uuid.uuid4()}"))

    @classmethod
    def create_at(cls, path: Path) -> Self:
        """A new, empty file at `path`."""
        with disk_errors(path):
            return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file that is at `path`, to read or to append to."""
        with disk_errors(path):
            return cls(path, os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC))

    @property
    def size(self) -> int:
        """The bytes in it: the offset of the next one."""
        return os.fstat(self._descriptor).st_size

    def try_lock(self) -> bool:
        """Be the only one to write to it; False where somebody is, or where it is a blob or gone meanwhile."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def append(self, chunk: bytes | memoryview) -> None:
        """Write all of `chunk` at the end.

        Raises:
            StorageFull: the disk is.
        """
        view = memoryview(chunk)
        with disk_errors(self.path):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset`; returns the bytes read, 0 at the end."""
        with disk_errors(self.path):
            return os.preadv(self._descriptor, [buffer], offset)

    def sync(self) -> None:
        """Make the bytes durable."""
        with disk_errors(self.path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Give the descriptor back; the file stays. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Close, and delete the file if it is still there."""
        self.close()
        self.path.unlink(missing_ok=True)
