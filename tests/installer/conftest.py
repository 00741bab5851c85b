"""What the installer's tests share: a machine that is a folder, with stand-ins for k0s and systemd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installer.standin.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """With systemd and its like, still without k0s; whatever it starts ends with the test."""
    made = Machine(tmp_path / "host")
    made.install_programs()
    yield made
    made.stop()
