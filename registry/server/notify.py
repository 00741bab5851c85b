"""What systemd wants to know of a service (sd_notify(3)); without systemd nothing is said."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

_ADDRESS = "NOTIFY_SOCKET"
_PING_SECONDS = 1.0


class Notifier:
    """Tells a datagram socket; whatever is wrong with that socket, the registry serves."""

    def __init__(self, address: str, *, watched: bool) -> None:
        """Use `from_environment`."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address  # in no file system
        self._watched = watched
        self._pinged = 0.0

    @classmethod
    def from_environment(cls) -> Self:
        """As systemd set it up. WATCHDOG_PID is not looked at: who takes over from it is watched as well."""
        return cls(os.environ.get(_ADDRESS, ""), watched="WATCHDOG_USEC" in os.environ)

    def send(self, *assignments: str) -> None:
        """One message."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto("\n".join(assignments).encode(), self._address)

    def ping(self) -> None:
        """Say that the loop goes round, once a second at most."""
        if self._watched and time.monotonic() - self._pinged >= _PING_SECONDS:
            self._pinged = time.monotonic()
            self.send("WATCHDOG=1")

    def reloading(self) -> None:
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


@contextmanager
def silent() -> Iterator[None]:
    """Keep others that know of systemd, and child processes, from speaking for us."""
    address = os.environ.pop(_ADDRESS, None)
    yield
    if address is not None:
        os.environ[_ADDRESS] = address
