"""The machine a figure belongs to."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to judge a figure; `load` is the number of runnable tasks before the first measurement."""

    cores: int
    model: str
    kernel: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Self:
        """This one, now."""
        model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
        name = model[1] if model else platform.machine()
        return cls(cores, name, platform.release(), platform.python_version(), load)

    def __str__(self) -> str:
        return f"{self.cores} cores {self.model}, Linux {self.kernel}, Python {self.python}, load {self.load:.1f}"
