"""Files of one directory that anybody may have: nothing hidden, nothing below it, nothing that a link points to."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from registry.storage.errors import disk_error, disk_errors

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~-]{0,254}")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file by its name; the size is in bytes, None where it is not known yet."""

    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Folder:
    """The directory at `path`; it may come, go and change at any time."""

    path: Path

    def open(self, name: str) -> BinaryIO | None:
        """The file of this name, or of one that is spelt alike; None where there is none."""
        if not is_file_name(name):
            return None
        file = open_plain(self.path / name)
        if file is not None:
            return file
        alike = [each.name for each in self.list() if spelling(each.name) == spelling(name)]
        return open_plain(self.path / alike[0]) if alike else None

    def list(self) -> list[ListedFile]:
        """All files, by name."""
        with disk_errors(self.path):
            listed = []
            for entry in self._entries():
                with suppress(FileNotFoundError):  # it went meanwhile
                    if _fault(entry) is None:
                        listed.append(ListedFile(entry.name, entry.stat(follow_symlinks=False).st_size))
        return sorted(listed, key=lambda each: each.name)

    def left_out(self) -> Iterator[tuple[str, str]]:
        """What is there and not served, by name, and why."""
        with disk_errors(self.path):
            entries = self._entries()
        for entry in sorted(entries, key=lambda each: each.name):
            fault = _fault(entry)
            if fault is not None:
                yield entry.name, fault

    def _entries(self) -> Sequence[os.DirEntry[str]]:
        try:
            with os.scandir(self.path) as entries:
                return tuple(entries)
        except FileNotFoundError:
            return ()


def _fault(entry: os.DirEntry[str]) -> str | None:
    """Why an entry is not served."""
    if entry.is_symlink():
        return "is a symbolic link"
    if entry.is_dir():
        return "is a directory"
    if entry.name.startswith("."):
        return "is hidden"
    if not is_file_name(entry.name):
        return "has a name that none may be asked for"
    return None if entry.is_file() else "is no file"


def is_file_name(name: str) -> bool:
    """Whether a file may be asked for by this name: one part of a path, not hidden."""
    return _NAME.fullmatch(name) is not None


def spelling(name: str) -> str:
    """Equal for names that differ in `+` and `-`: releases of k0rdent disagree on how they spell a version of k0s."""
    return name.replace("+", "-")


def open_plain(path: Path) -> BinaryIO | None:
    """The regular file at `path`, unbuffered; None where there is none, or a link, or something else."""
    try:
        # Without O_NONBLOCK a pipe would keep the request for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if path.is_symlink() or path.is_socket():
            return None
        raise disk_error(path, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return open(descriptor, "rb", buffering=0)
