"""One installer at a time on a host."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from installer.errors import HostRefuses, InstallFailed
from installer.host import Host
from installer.paths import LOCK


@contextmanager
def alone(host: Host) -> Iterator[None]:
    """Keep a second installer off this host, for as long as the block lasts; afterwards nothing is left of the lock.

    Raises:
        InstallFailed: one is at work.
    """
    descriptor = _open(host)
    try:
        while not _is_locked(host, descriptor):
            os.close(descriptor)  # who held it took the file away in between
            descriptor = _open(host)
        try:
            yield
        finally:
            host.remove(LOCK)
    finally:
        os.close(descriptor)


def _open(host: Host) -> int:
    try:
        return os.open(host.at(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostRefuses(f"cannot lock {LOCK}: {error.strerror}") from error


def _is_locked(host: Host, descriptor: int) -> bool:
    """Whether it is ours now, and still the file that others will open."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InstallFailed("another installation or removal is at work on this host: wait for it") from error
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), host.at(LOCK).stat())
    return False
