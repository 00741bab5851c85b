"""What a k0s leaves that cannot take itself away: processes, mounts, files. No path here leads out of its folder."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from installer.errors import InstallFailed
from installer.host import Host
from installer.paths import K0S_RUN, K0S_STATE

_PROCESSES = Path("/proc")
_PATIENCE = 20.0
_PAUSE = 0.05
_ESCAPED = re.compile(r"\\([0-7]{3})")


def processes(host: Host) -> list[int]:
    """What runs out of k0s' folders: its own programs, and whatever has an image of its containerd for its root."""
    found = (int(each.name) for each in _PROCESSES.iterdir() if each.name.isdigit())
    return sorted(number for number in found if number != os.getpid() and _lives_there(host, number))


def end(host: Host) -> None:
    """End these processes, as k0s itself would by now, and see them gone.

    Raises:
        InstallFailed: some do not go.
    """
    deadline = time.monotonic() + _PATIENCE
    while numbers := processes(host):
        if time.monotonic() > deadline:
            told = ", ".join(map(str, numbers[:10]))
            raise InstallFailed(
                f"processes of k0s do not end ({told}): restart the machine, and run the same command again"
            )
        for number in numbers:
            _kill(host, number)
        time.sleep(_PAUSE)


def mounts(host: Host, folder: Path) -> list[Path]:
    """What is mounted below a folder, the deepest and the newest first; what is mounted over others comes as often."""
    root, found = Path(os.path.realpath(host.root)), []
    for line in (_PROCESSES / "self/mountinfo").read_text(errors="surrogateescape").splitlines():
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4]))
        if point.is_relative_to(root):
            found.append("/" / point.relative_to(root))
    below = [point for point in reversed(found) if folder in point.parents]
    return sorted(below, key=lambda point: -len(point.parts))


def removable(host: Host, path: Path) -> Iterator[Path]:
    """What can go of it, and it last; neither what is mounted in it, nor what a link in it leads to."""
    stay = set(mounts(host, path))
    above = {folder for point in stay for folder in point.parents}
    if path in mounts(host, path.parent):
        above.add(path)  # a disk of its own, which k0s did not mount
    waiting = [(path, False)]
    while waiting:
        here, is_done = waiting.pop()
        entry = None if here in stay else host.look(here)
        if entry is None:
            continue
        if entry.kind == "folder" and not is_done:
            waiting += [(here, True), *((each, False) for each in host.entries(here))]
        elif here not in above:
            yield here


def left_of_k0s(host: Host) -> Iterator[str]:
    """What stays of its folders because it is somebody's own, in sentences."""
    for folder in (K0S_STATE, K0S_RUN):
        entry = host.look(folder)
        if entry is not None and entry.kind == "link":
            yield f"{folder}: it is a link; remove by hand what k0s left at {entry.target}"
        for point in mounts(host, folder):
            yield f"{point}: something is mounted there; remove by hand what k0s left in it"


def _lives_there(host: Host, number: int) -> bool:
    """Whether a process does; one that has just ended does not."""
    own = _PROCESSES / str(number)
    with suppress(OSError):
        if Path(os.readlink(own / "exe")).is_relative_to(os.path.realpath(host.at(K0S_STATE))):
            return True
        for line in (own / "mountinfo").read_text(errors="surrogateescape").splitlines():
            if line.split(" ")[4] == "/":
                return f"{os.path.realpath(host.at(K0S_STATE))}/" in line
    return False


def _kill(host: Host, number: int) -> None:
    """Its number may be another one's by now, so it is looked at once more when it is held."""
    with suppress(ProcessLookupError), ExitStack() as held:
        descriptor = os.pidfd_open(number)
        held.callback(os.close, descriptor)
        if _lives_there(host, number):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
