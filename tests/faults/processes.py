"""Loads as processes of their own: started, watched, killed, and looked for afterwards."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import COMMAND

_STATE, _SESSION = 0, 3  # behind the name in /proc/PID/stat
_PAUSE = 0.01
_STEP = 0.004
_SAMPLING = 0.05  # the kernel keeps the peak of each process; looking for them costs milliseconds


@dataclass(frozen=True)
class Ended:
    """A command that was watched to its end; `peak` is the memory of all its processes in bytes, `cpu` in seconds."""

    code: int
    output: str
    error: str
    peak: int
    cpu: float


def start_load(bundle: Path, root: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """`k0rdentd load` in a session of its own; what it says goes to `ROOT.log`."""
    with root.with_suffix(".log").open("ab") as log:
        return start("load", bundle, "-s", root, *arguments, output=log.fileno(), error=log.fileno())


def start(*arguments: str | Path, output: int, error: int) -> subprocess.Popen[bytes]:
    """The real command in a session of its own."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=output, stderr=error, start_new_session=True)


def watch(*arguments: str | Path, folder: Path, seconds: float = 60) -> Ended:
    """Run the real command to its end, measuring; it fails the test after `seconds`."""
    output, error = folder / "stdout", folder / "stderr"
    with output.open("wb") as out, error.open("wb") as err:
        process = start(*arguments, output=out.fileno(), error=err.fileno())
    peaks: dict[int, int] = {}
    deadline = time.monotonic() + seconds
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        for each in alive(process.pid):
            peaks[each] = max(peaks.get(each, 0), peak_memory(each))
        if time.monotonic() > deadline:
            kill_session(process)
            pytest.fail(f"{arguments[0]} took more than {seconds} s")
        time.sleep(_SAMPLING)
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    cpu = ended[2].ru_utime + ended[2].ru_stime
    text = (output.read_text(errors="replace"), error.read_text(errors="replace"))
    return Ended(process.returncode, *text, sum(peaks.values()), cpu)


@contextmanager
def load_under_way(bundle: Path, root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A load that has begun to write; whatever the test does, nothing of it is left."""
    process = start_load(bundle, root)
    try:
        halt_when(process, lambda: any((root / "uploads").glob("*")))
        os.killpg(process.pid, signal.SIGCONT)
        yield process
    finally:
        kill_session(process)


def halt_when(process: subprocess.Popen[bytes], condition: Callable[[], bool], seconds: float = 30) -> None:
    """Let it run in steps of milliseconds and stop it, with SIGSTOP, as soon as `condition` holds: none is missed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            kill_session(process)
            pytest.fail("it ended, or never came to the moment that was waited for")
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(_STEP)
        os.killpg(process.pid, signal.SIGSTOP)


def alive(session: int) -> set[int]:
    """The processes of a session that are not dead, whoever their parent has become."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_in(entry, session):
            found.add(int(entry.name))
    return found


def pool_of(session: int) -> list[int]:
    """The processes of a load that hash and write, the oldest first."""
    return [each for each in sorted(alive(session)) if b"spawn_main" in _command_line(each)]


def _command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def children(process: int) -> set[int]:
    """Those that a process has itself started, the dead among them too."""
    try:
        return {int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()}
    except OSError:
        return set()


def _is_in(process: Path, session: int) -> bool:
    try:
        fields = (process / "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return False  # it ended meanwhile
    return int(fields[_SESSION]) == session and fields[_STATE] not in "ZX"


def peak_memory(process: int) -> int:
    """The most memory that a process ever had, in bytes."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill it with its processes at once, and remove what Python has then nobody left to remove."""
    semaphores = _semaphores(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for each in semaphores:
        each.unlink(missing_ok=True)


def _semaphores(process: int) -> set[Path]:
    return {Path(found) for found in re.findall(r"/dev/shm/sem\.mp-\S+", Path(f"/proc/{process}/maps").read_text())}


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind, whatever the test found."""
    for each in alive(process.pid):
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait(10)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Until `condition` holds; fails the test if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds} s: {what}")
        time.sleep(_PAUSE)
