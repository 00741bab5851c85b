"""Child processes: commands run to their end; servers on a free port of the loopback, stopped by process id."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.errors import BenchFailed

START_SECONDS = 30
STOP_SECONDS = 40  # our registry drains for up to 30
ROOT = Path(__file__).parent.parent


def require(program: str) -> str:
    """The path of an installed program.

    Raises:
        BenchFailed: it is not installed.
    """
    path = shutil.which(program)
    if path is None:
        raise BenchFailed(f"{program} is not installed: apt-get install docker-registry nginx-light wrk skopeo")
    return path


def k0rdentd(*arguments: str | Path) -> tuple[str, ...]:
    """The command line of this very product, whatever the current directory, and as no file configures it."""
    settings = ("-c", os.devnull, "--log-level", "error")
    program = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "installer.command")
    return (*program, *settings, *map(str, arguments))


def run(*command: str) -> None:
    """Run a command to its end.

    Raises:
        BenchFailed: it fails.
    """
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")


def said(*command: str) -> str | None:
    """What a command prints, on whichever of its outputs; None where it is not installed."""
    if shutil.which(command[0]) is None:
        return None
    merged = subprocess.STDOUT
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=merged, text=True, timeout=30, check=False)
    return done.stdout.strip()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: Callable[[int], Sequence[str]], folder: Path) -> Iterator[str]:
    """Run the server that `command` gives for a port; the block gets its URL once it answers HTTP.

    Raises:
        BenchFailed: it ends, or never answers; what it wrote is in the message.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(port), cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_answering(process, url, folder / "log")
        yield url
    finally:
        _stop(process)


def _wait_until_answering(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/v2/")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise BenchFailed(f"{process.args!r} does not serve: {log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
