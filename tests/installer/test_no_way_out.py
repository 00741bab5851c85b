"""A whole installation where nothing but the machine itself can be reached, and nothing else is tried."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import chart_archive, image, layer, oci_archive
from tests.conftest import COMMAND, Server, serving
from tests.images import write_tar
from tests.installer.sites import host_of, tree
from tests.installer.standin.machine import Machine
from tests.installer.test_install_cli import Installer
from tests.networks import Network, addressed, isolated, outside, traced

pytestmark = [pytest.mark.client, pytest.mark.slow]
FLOW = (
    ("install",),
    ("status",),
    ("export-join-config", "-o", "/root/join", "--controller-ip", "192.0.2.1"),
    ("uninstall",),
)


@pytest.fixture
def network() -> Iterator[Network]:
    """This very test runs in it."""
    with isolated() as made, made.entered():
        yield made


@pytest.fixture
def registry(network: Network, tmp_path: Path) -> Iterator[Server]:
    """One that has loaded a bundle, and was watched from its start."""
    binary = layer(files({"usr/local/bin/k0s": Machine.k0s_program("1.32.8")}, mode=0o755))
    members = {
        "k0sproject/k0s_v1.32.8-k0s.0.tar": oci_archive(image([binary])),
        "charts/k0rdent-enterprise_1.2.3.tar": chart_archive("k0rdent-enterprise", "1.2.3"),
    }
    bundle = write_tar(tmp_path / "bundle.tar", members)
    with serving(
        *("-s", tmp_path / "store", "-b", bundle, "--workers", "2"),
        log=tmp_path / "log",
        wait_for="/readyz",
        ca=tmp_path / "store/pki/ca.crt",
        before=traced(tmp_path / "registry.trace"),
    ) as running:
        yield running


def test_nothing_reaches_for_the_internet(network: Network, registry: Server, machine: Machine, tmp_path: Path) -> None:
    assert network.ip("route", "show", "table", "main") == ""
    host_of(machine)
    machine.script(looks=0)
    before = tree(machine.root)
    installer = Installer(machine, registry)
    flow = " && ".join(shlex.join([*COMMAND, "-c", str(installer.config), *words]) for words in FLOW)
    shown = run(tmp_path / "flow.trace", flow, installer)
    for sentence in ("installed: ", "files in /root/join", "uninstalled: "):
        assert sentence in shown
    shutil.rmtree(machine.root / "root/join")  # what was exported is the operator's
    assert tree(machine.root) == before
    assert ("127.0.0.1", registry.port) in addressed(tmp_path / "flow.trace")
    assert outside(tmp_path / "flow.trace") == set()
    assert outside(tmp_path / "registry.trace") == set()


def run(trace: Path, script: str, installer: Installer) -> str:
    """What it prints; a file takes it, as the watcher lives for as long as the stand-in's k0s."""
    log = trace.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*traced(trace), "sh", "-c", script], env=installer.environment, stdout=output, stderr=output
        )
        code = process.wait(120)
    assert code == 0, log.read_text()
    return log.read_text()


@pytest.mark.parametrize(
    ("attempt", "found"),
    [
        ("s.connect_ex(('192.0.2.1', 443))", ("192.0.2.1", 443)),
        ("u.sendto(b'?', ('192.0.2.7', 123))", ("192.0.2.7", 123)),
        ("u.sendto(b'?', ('127.0.0.53', 53))", ("127.0.0.53", 53)),
        ("x.connect_ex(('2001:db8::1', 443))", ("2001:db8::1", 443)),
    ],
)
def test_who_does_is_found_out(network: Network, tmp_path: Path, attempt: str, found: tuple[str, int]) -> None:
    made = "import socket as o; s, u, x = o.socket(), o.socket(type=o.SOCK_DGRAM), o.socket(o.AF_INET6)"
    subprocess.run(
        [*traced(tmp_path / "trace"), "sh", "-c", 'exec python3 -c "$0"', f"{made}\n{attempt}"],
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert outside(tmp_path / "trace") == {found}
