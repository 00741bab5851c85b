"""Of all who want to change a host one does, and nothing of its lock is left."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from installer.errors import InstallFailed
from installer.host import Host
from installer.lock import alone


def test_nobody_is_ever_on_a_host_with_another_and_no_file_tells_of_it(tmp_path: Path) -> None:
    host, there = Host(tmp_path), tmp_path / "there"
    (tmp_path / "run").mkdir()

    def visit(_: int) -> int:
        try:
            with alone(host):
                there.touch(exist_ok=False)
                there.unlink()
        except InstallFailed:
            return 0
        return 1

    with ThreadPoolExecutor(8) as visitors:
        assert sum(visitors.map(visit, range(4000))) > 0
    assert list((tmp_path / "run").iterdir()) == []


def test_a_lock_that_a_killed_one_left_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/k0rdentd-installer.lock").touch()
    with alone(Host(tmp_path)), pytest.raises(InstallFailed, match="another installation"), alone(Host(tmp_path)):
        pass
    assert list((tmp_path / "run").iterdir()) == []
