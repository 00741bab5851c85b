"""A file that appears whole or not at all, or a pipe."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.storage.roots import sync_directory
from registry.transfer.errors import ExportFailed
from registry.units import human

_STANDARD_OUTPUT = Path("-")


def write_file(path: Path, chunks: Iterable[bytes], size: int) -> None:
    """Write `size` bytes to a file beside `path`, and rename it; whatever goes wrong, nothing is left of it.

    A pipe, a terminal or a descriptor, such as /dev/stdout, is written to as it is; `-` is standard output.

    Raises:
        ExportFailed: as `new_file`.
    """
    with _opened(path, size) if _is_special(path) else new_file(path, size) as descriptor:
        for chunk in chunks:
            write_all(descriptor, chunk)


@contextmanager
def new_file(path: Path, size: int) -> Iterator[int]:
    """A file beside `path`, of about `size` bytes, that takes its name when the block ends well; else nothing is left.

    Where `path` is a link, it stays one.

    Raises:
        ExportFailed: the disk is too small, or refuses; or another process writes the same file; or it is no file.
    """
    if _is_special(path):
        raise ExportFailed(f"{path} is no regular file, and could not appear whole: name one on a disk")
    path = Path(os.path.realpath(path))  # which takes links that lead in circles as they are
    partial = path.with_name(f"{path.name}.partial")
    try:
        _require_room(path, size)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _failure(path, size, error) from error
    try:
        lock(descriptor, partial)
        os.ftruncate(descriptor, 0)  # what a killed run left
        yield descriptor
        os.fsync(descriptor)
        partial.rename(path)
        sync_directory(path.parent)
    except BlockingIOError as error:
        raise ExportFailed(f"another process is writing {path}: wait for it, or name another file") from error
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _failure(path, size, error) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def write_stdout(chunks: Iterable[bytes]) -> None:
    """Write all to standard output.

    Raises:
        ExportFailed: it is a terminal, or its reader went away.
    """
    if sys.stdout.isatty():
        raise ExportFailed("an archive is nothing for a terminal: send standard output to a file or another program")
    try:
        for chunk in chunks:
            write_all(sys.stdout.fileno(), chunk)
    except OSError as error:
        raise ExportFailed(f"standard output cannot be written to: {error.strerror}") from error


def lock(descriptor: int, partial: Path) -> None:
    """Be the only process that writes this file, as long as the descriptor is open.

    Raises:
        BlockingIOError: another one is.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not os.path.samestat(os.fstat(descriptor), os.stat(partial)):  # it was just renamed by who held the lock
        raise BlockingIOError


def write_all(descriptor: int, chunk: bytes) -> None:
    """Write every byte of `chunk`."""
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_special(path: Path) -> bool:
    """Whether it is something that nothing can be renamed over: /dev/stdout would be gone, for everybody."""
    folder = os.path.realpath(path.parent)
    is_special = path == _STANDARD_OUTPUT or (path.exists() and not path.is_file())
    return is_special or folder == "/dev" or folder.startswith("/proc/")


@contextmanager
def _opened(path: Path, size: int) -> Iterator[int]:
    try:
        place = "/dev/stdout" if path == _STANDARD_OUTPUT else path
        descriptor = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failure(path, size, error) from error


def _require_room(path: Path, size: int) -> None:
    usage = os.statvfs(path.parent)
    if usage.f_bavail * usage.f_frsize < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _failure(path: Path, size: int, error: OSError) -> ExportFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ExportFailed(
            f"no space for {path}, which takes {human(size)}: name a file on another disk, or free some space"
        )
    return ExportFailed(f"{path} cannot be written: {error.strerror or error}")
