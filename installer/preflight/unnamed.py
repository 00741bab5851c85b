"""A program without a name in any folder: whatever ends us, nothing of it stays."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOMY = Path("/var/tmp")  # noqa: S108  # nobody else can open what has no name there; /tmp is often memory


@contextmanager
def unnamed_program(pieces: Iterable[bytes], folder: Path = _ROOMY) -> Iterator[Path]:
    """By what path it can be run, for as long as the block lasts.

    Raises:
        OSError: there is no room for it.
    """
    descriptor = _open(folder)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.writelines(pieces)
        # Linux runs nothing that is still open for writing.
        runnable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(descriptor)
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{runnable}")
    finally:
        os.close(runnable)


def _open(folder: Path) -> int:
    """On a disk, if there is one that has such files and lets them be run; else in memory."""
    with suppress(OSError):  # no such folder, or a file system that cannot
        if not os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o700)
    return os.memfd_create("k0s")
