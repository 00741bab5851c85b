"""What a command and all processes it starts take: peak memory, and files written where they should not be."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.errors import BenchFailed

INTERVAL = 0.05
NO_FILES = ("/dev/", "/proc/", "/sys/", "/memfd:")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Peaks of sums over the whole process tree, in bytes; and every file seen written outside."""

    pss: int = 0
    """Pages that processes share are split between them: what the tree really takes."""
    rss: int = 0
    """Shared pages count for each process."""
    outside: frozenset[str] = frozenset()

    def joined(self, other: Self) -> Self:
        """The peaks of both."""
        return type(self)(max(self.pss, other.pss), max(self.rss, other.rss), self.outside | other.outside)


def footprint(command: Sequence[str], scratch: Path, storage: Path) -> Footprint:
    """Run `command` in the empty directory `scratch`, which is its TMPDIR and HOME too; it may write to `storage`.

    Raises:
        BenchFailed: the command fails.
    """
    scratch.mkdir()
    surrounded = ("env", f"TMPDIR={scratch}", f"HOME={scratch}", *command)
    process = subprocess.Popen(surrounded, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = Footprint()
    while process.poll() is None:
        peak = peak.joined(_sampled(process.pid, storage))
        time.sleep(INTERVAL)
    if process.returncode != 0:
        raise BenchFailed(f"{' '.join(command)} ended with {process.returncode}")
    left = frozenset(str(path) for path in scratch.rglob("*"))
    return peak.joined(Footprint(outside=left))


def tree(pid: int) -> Iterator[int]:
    """A process and all below it, as far as they are still there."""
    yield pid
    try:
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return  # it ended while we looked
    for child in (int(child) for found in children for child in found):
        yield from tree(child)


def _sampled(pid: int, storage: Path) -> Footprint:
    total_pss = total_rss = 0
    outside: frozenset[str] = frozenset()
    for each in tree(pid):
        try:
            pss, rss = memory(each)
            outside |= frozenset(_written(each, storage))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        total_pss, total_rss = total_pss + pss, total_rss + rss
    return Footprint(total_pss, total_rss, outside)


def memory(pid: int) -> tuple[int, int]:
    """Proportional and resident bytes of one process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {key: int(rest.split()[0]) * 1024 for key, _, rest in (line.partition(":") for line in lines)}
    return sizes.get("Pss", 0), sizes.get("Rss", 0)


def _written(pid: int, storage: Path) -> Iterator[str]:
    """Regular files that the process has open for writing, deleted ones too, and that are not below `storage`."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        name = os.readlink(link)
        inside = name.startswith((*NO_FILES, f"{storage}/")) or not name.startswith("/")
        if not inside and _is_writable(pid, link.name):
            yield name


def _is_writable(pid: int, descriptor: str) -> bool:
    lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines()
    flags = next(line.split()[1] for line in lines if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
