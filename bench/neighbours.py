"""How busy a measurement found the machine with the work of others: what a figure from a shared machine must tell."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.footprint import tree

TICKS = os.sysconf("SC_CLK_TCK")
BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal in the first line of /proc/stat


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU used so far, by the whole machine and by this process with all that it started."""

    at: float
    machine: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        """What is used up to this instant."""
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        machine = sum(int(fields[number]) for number in BUSY)
        ours = sum(_ticks(pid) for pid in tree(os.getpid()))
        return cls(time.monotonic(), machine / TICKS, ours / TICKS)

    def others_since(self, before: Self) -> float:
        """How many cores others have kept busy since then."""
        share = (self.machine - before.machine) - (self.ours - before.ours)
        return round(max(0.0, share / (self.at - before.at)), 2)


def _ticks(pid: int) -> int:
    """User and system time of a process, and of the children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended while we looked
    return sum(map(int, fields[11:15]))
