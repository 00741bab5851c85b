"""The processes that serve a port of this machine: what they take is looked up, whoever started them."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.footprint import memory

_LISTENS = "0A"
_SCHEDULED = 2  # clock_getcpuclockid(3): all that its threads have run


@dataclass(frozen=True, slots=True)
class Server:
    """The processes that hold a listening socket, found by asking the kernel; none for a server elsewhere."""

    pids: tuple[int, ...]

    @classmethod
    def at(cls, port: int) -> Self:
        """Those that listen at `port`, as far as we may look at them."""
        sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
        return cls(tuple(pid for pid in _processes() if sockets and not sockets.isdisjoint(_open(pid))))

    def cpu(self) -> float:
        """Seconds of a core that they have used so far."""
        return sum(map(_cpu, self.pids))

    def memory(self) -> int:
        """Bytes, pages that they share counted once."""
        return sum(_pss(pid) for pid in self.pids)


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _open(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):  # it ended while we looked, or is not ours to look at
        for link in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                found.add(os.readlink(f"/proc/{pid}/fd/{link}"))
    return found


def _cpu(pid: int) -> float:
    """By the process's own clock: /proc counts in ticks of 10 ms, in which a short look sees nothing."""
    try:
        return time.clock_gettime(~pid << 3 | _SCHEDULED)
    except OSError:
        return 0.0


def _pss(pid: int) -> int:
    try:
        return memory(pid)[0]
    except OSError:
        return 0
