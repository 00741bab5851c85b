"""One installer at a time on a host."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from installer.errors import HostRefuses, InstallFailed
from installer.host import Host
from installer.paths import LOCK


@contextmanager
def alone(host: Host) -> Iterator[None]:
    """Keep a second installer off this host, for as long as the block lasts.

    Raises:
        InstallFailed: one is at work.
    """
    try:
        descriptor = os.open(host.at(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostRefuses(f"cannot lock {LOCK}: {error.strerror}") from error
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InstallFailed("another installation or removal is at work on this host: wait for it") from error
