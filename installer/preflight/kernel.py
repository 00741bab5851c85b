"""What a machine's kernel offers to containers: cgroups and modules."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Version 0 is none at all; what is missing of a hierarchy cannot be limited."""

    version: int
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Modules:
    """Modules in the kernel, and those that can be loaded; `known` is False where nobody can tell what can."""

    present: frozenset[str]
    loadable: frozenset[str]
    known: bool

    def lacks(self, name: str) -> bool:
        """Whether there is no way to it, as far as one can see."""
        return name not in self.present and name not in self.loadable


def read_cgroups(mounted: Path, table: str) -> Cgroups:
    """From what is mounted at /sys/fs/cgroup, and /proc/cgroups."""
    try:
        return Cgroups(2, frozenset((mounted / "cgroup.controllers").read_text().split()))
    except OSError:
        pass
    folders = {name for each in mounted.glob("*") if each.is_dir() for name in each.name.split(",")}
    rows = (line.split() for line in table.splitlines() if not line.startswith("#"))
    enabled = {words[0] for words in rows if len(words) == 4 and words[3] == "1"}
    found = frozenset(folders & enabled)
    return Cgroups(1 if found else 0, found)


def read_modules(root: Path) -> Modules:
    """Loaded, built in, or lying below /lib/modules for the kernel that runs."""
    loaded = {words[0] for words in map(str.split, _lines(root / "proc/modules")) if words}
    shown = {each.name for each in (root / "sys/module").glob("*")}
    overlay = {"overlay"} if any("overlay" in line.split() for line in _lines(root / "proc/filesystems")) else set()
    release = "".join(_lines(root / "proc/sys/kernel/osrelease")).strip()
    folder = root / "lib/modules" / release
    builtin = {_module(line) for line in _lines(folder / "modules.builtin")}
    loadable = {_module(line.partition(":")[0]) for line in _lines(folder / "modules.dep")}
    present = loaded | shown | overlay | builtin
    return Modules(frozenset(present), frozenset(loadable), bool(release) and (folder / "modules.dep").exists())


def _module(path: str) -> str:
    """`kernel/net/bridge/br_netfilter.ko.xz` to `br_netfilter`."""
    return re.sub(r"\.ko(\.\w+)?$", "", path.rpartition("/")[2]).replace("-", "_")


def _lines(path: Path) -> Iterator[str]:
    try:
        yield from path.read_text(errors="replace").splitlines()
    except OSError:
        return
