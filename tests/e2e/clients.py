"""Runs the programs that pull from registries in the field."""

import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = {"ctr": "containerd", "busybox": "busybox-static"}
SECONDS = 60


def program(name: str) -> str:
    """Where the program is; a machine without it cannot prove what these tests claim."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return found


def attempt(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a client to its end, which may be a failure."""
    command = [program(name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def run(name: str, *arguments: str | Path) -> str:
    """What a client prints, once it has succeeded."""
    done = attempt(name, *arguments)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(done.args)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
