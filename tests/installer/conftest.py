"""What the installer's tests share: a machine that is a folder, with stand-ins for k0s and systemd."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.host import Host
from tests.e2e.helm import extract_kubectl, is_shipped
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import start_controller


@pytest.fixture(scope="session", autouse=True)
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real kubectl on the PATH: this machine's own, or else the one that ships with the tests' helm."""
    if shutil.which("kubectl") or not is_shipped():
        yield
        return
    folder = extract_kubectl(tmp_path_factory.mktemp("kubectl")).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{folder}")
        yield


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """With systemd and its like, still without k0s; whatever it starts ends with the test."""
    made = Machine(tmp_path / "host")
    made.install_programs()
    yield made
    made.stop()


@pytest.fixture
def host(machine: Machine) -> Host:
    """The machine, as the installer sees it."""
    return Host(machine.root, machine.environment, pace=0.01)


@pytest.fixture
def controller(machine: Machine, host: Host) -> Host:
    """The same, with a k0s that has just been started on it."""
    start_controller(machine)
    return host
