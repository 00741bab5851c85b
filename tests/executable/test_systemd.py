"""The unit that `registry --print-unit` writes, under a systemd that is process 1 and enforces every line of it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.corpus import Contents
from tests.executable.conftest import Built
from tests.executable.roots import Root

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("K0RDENTD_TEST_ROOTS" not in os.environ, reason="it boots a Debian: make test-roots"),
]

UNIT = "k0rdentd-registry"
# Each look prints one line: what it is called, the unit's process, its restarts, its state, and whether it serves.
BEGIN = f"""
set -u
tell() {{ echo "$1 $(systemctl show {UNIT} -P MainPID -P NRestarts -P ActiveState | xargs) \
$(curl -s http://localhost:5000/readyz || echo silent)"; }}
pid() {{ systemctl show {UNIT} -P MainPID; }}
k0rdentd load /root/bundle.tar.gz --no-verify -s /srv/store >&2
k0rdentd registry -s /srv/store --print-unit >/etc/systemd/system/{UNIT}.service
systemctl daemon-reload
systemctl start {UNIT}
tell started
"""


@pytest.fixture
def machine(built: Built, bundle: tuple[Path, Contents], tmp_path: Path) -> Root:
    """A Debian with the executable and a bundle."""
    root = Root.of_systemd(tmp_path / "machine")
    root.put(built.online)
    shutil.copy(bundle[0], root.inside("/root/bundle.tar.gz"))
    return root


def looks(output: str) -> dict[str, list[str]]:
    """What each look saw."""
    return {name: seen for name, *seen in map(str.split, output.splitlines()) if len(seen) == 4}


def journal(root: Root) -> str:
    command = ["journalctl", "--root", str(root.path), "--no-pager"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_sandboxed_service_is_reloaded_restarted_and_stopped(machine: Root) -> None:
    output = machine.boot(
        BEGIN
        + f"""
sed "s/^/limit /" /proc/$(pid)/status | grep -E "Seccomp:|NoNewPrivs:|CapEff:"
systemctl reload {UNIT} || echo "not reloaded"
sleep 3; tell reloaded
kill -9 $(pid); sleep 5; tell killed
systemctl stop {UNIT}; tell stopped
"""
    )
    seen = looks(output)
    assert "not reloaded" not in output, journal(machine)
    assert re.findall(r"limit (\w+):\s+(\w+)", output) == [
        ("CapEff", "0000000000000004"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ]
    assert seen["started"][1:] == ["0", "active", "ready"]
    assert seen["reloaded"] == seen["started"]
    assert seen["killed"][1:] == ["1", "active", "ready"]
    assert seen["stopped"] == ["0", "0", "inactive", "silent"]


def test_the_watchdog_restarts_what_hangs(machine: Root) -> None:
    folder = machine.inside(f"/etc/systemd/system/{UNIT}.service.d")
    folder.mkdir()
    (folder / "soon.conf").write_text("[Service]\nWatchdogSec=4\n")
    seen = looks(machine.boot(BEGIN + "sleep 8; tell watched; kill -STOP $(pid); sleep 12; tell hung"))
    assert seen["watched"] == seen["started"]
    assert seen["hung"][1:] == ["1", "active", "ready"]


def test_a_new_program_takes_the_service_over(machine: Root) -> None:
    output = machine.boot(
        BEGIN
        + f"""
old=$(pid)
kill -USR2 $old; sleep 5; tell both
kill -TERM $old; sleep 5; tell over
systemctl reload {UNIT}; sleep 3; tell reloaded
"""
    )
    seen = looks(output)
    assert seen["both"] == seen["started"]
    assert seen["over"][1:] == ["0", "active", "ready"]
    assert seen["over"][0] != seen["both"][0]
    assert seen["reloaded"] == seen["over"]
    assert "reception only permitted" not in journal(machine)


def test_a_socket_unit_starts_it_with_the_first_client(machine: Root) -> None:
    machine.inside(f"/etc/systemd/system/{UNIT}.socket").write_text("[Socket]\nListenStream=5443\n")
    output = machine.boot(
        BEGIN
        + f"""
systemctl stop {UNIT}
systemctl start {UNIT}.socket
tell idle
curl -sk https://localhost:5443/healthz >/dev/null && echo "served"
"""
    )
    assert looks(output)["idle"] == ["0", "0", "inactive", "silent"]
    assert output.splitlines()[-1] == "served"
