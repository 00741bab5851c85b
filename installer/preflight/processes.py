"""The processes of a machine, and the sockets that each holds, out of /proc (proc(5))."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One that runs; `inodes` are those of its sockets."""

    number: int
    name: str
    command: str
    inodes: frozenset[int]


def running_processes(proc: Path) -> tuple[Process, ...]:
    """All that can be read; another user's sockets cannot."""
    return tuple(_read_all(proc))


def _read_all(proc: Path) -> Iterator[Process]:
    for folder in sorted(proc.glob("[0-9]*")):
        try:
            name = (folder / "comm").read_text().strip()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
        yield Process(int(folder.name), name, command, frozenset(_sockets(folder / "fd")))


def _sockets(folder: Path) -> Iterator[int]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            link = os.readlink(folder / name)
        except OSError:
            continue  # closed meanwhile, as the one that listed the folder is
        if link.startswith("socket:["):
            yield int(link[len("socket:[") : -1])
