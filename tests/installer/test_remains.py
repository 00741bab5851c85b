"""A k0s whose executable somebody deleted is taken away all the same, and nothing that is somebody else's with it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from installer import outline
from installer.changes import PlaceFile
from installer.plan import apply, plan
from installer.remains import left_of_k0s, mounts, processes
from installer.steps.removal import K0sGone
from installer.uninstallation import misses_farewell
from tests.installer.sites import host_of, site, tree
from tests.installer.standin.machine import Machine
from tests.installer.test_steps import kill_at_every_change, make

_PASSWD = "root:x:0:0::/root:/bin/sh\n"
_USERDEL = """\
#!/bin/sh
sed -i "/^$1:/d" {root}/etc/passwd
"""


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[ExitStack]:
    """Takes off what a test mounts, and it did not take off itself."""
    with ExitStack() as made:
        yield made


def mount(made: ExitStack, *words: str | Path) -> None:
    """The last word is where."""
    Path(words[-1]).mkdir(parents=True)
    if subprocess.run(["mount", *words], capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    made.callback(subprocess.run, ["umount", "-q", words[-1]], check=False)


def lived_in(machine: Machine) -> Path:
    """k0s as it is after a while of containers, users and networks; where its containers' folders are."""
    host = host_of(machine)
    machine.script(looks=0)
    (machine.root / "etc/passwd").write_text(_PASSWD)
    userdel = machine.root / "usr/sbin/userdel"
    userdel.write_text(_USERDEL.format(root=machine.root))
    userdel.chmod(0o755)
    for _ in apply(host, plan(host, outline.controller(site(machine)))):
        pass
    with (machine.root / "etc/passwd").open("a") as users:
        users.write("kube-apiserver:x:999:999::/var/lib/k0s:/sbin/nologin\n")
    cni = machine.root / "etc/cni/net.d/10-kuberouter.conflist"
    cni.parent.mkdir(parents=True)
    cni.write_text("{}")
    (machine.root / "usr/local/bin/k0s").unlink()
    return machine.root / "var/lib/k0s"


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """What a volume of a pod leads to; nobody may lose it with the pod."""
    made = tmp_path / "claims"
    made.mkdir()
    (made / "ledger").write_text("of somebody")
    return made


def begin_container(state: Path) -> subprocess.Popen[bytes]:
    """As k0s leaves it when it ends: a program of its own that goes on."""
    (state / "bin").mkdir(exist_ok=True)
    shutil.copy("/bin/sleep", state / "bin/containerd-shim")
    return subprocess.Popen([state / "bin/containerd-shim", "600"])


def test_what_k0s_left_goes_without_k0s_and_no_way_leads_out_of_it(
    machine: Machine, mounted: ExitStack, claims: Path
) -> None:
    host = host_of(machine)
    before = tree(machine.root)
    state = lived_in(machine)
    with begin_container(state) as container:
        mount(mounted, "--bind", claims, state / "kubelet/pods/1/a claim")
        mount(mounted, "-t", "tmpfs", "tmpfs", state / "kubelet/pods/1/secret")
        mount(mounted, "-t", "tmpfs", "tmpfs", machine.root / "run/k0s/containerd/shm")
        (state / "kubelet/pods/1/link").symlink_to(claims)
        (state / "kubelet/pods/1/secret/token").write_text("of the pod")
        whole = tree(machine.root)
        assert processes(host) == [container.pid]
        assert misses_farewell(host)
        listed = plan(host, [K0sGone()])
        assert tree(machine.root) == whole, "planning changed the host"
        assert listed[0].change.describe() == "run 'systemctl stop k0scontroller' (k0s ends on this node)"
        kill_at_every_change(machine, outline.removal(force=False))
    assert container.returncode == -9
    assert (machine.root / "etc/passwd").read_text() == _PASSWD
    assert not list((machine.root / "etc/cni/net.d").iterdir())
    shutil.rmtree(machine.root / "etc/cni")
    (machine.root / "etc/passwd").unlink()
    (machine.root / "usr/sbin/userdel").unlink()
    assert tree(machine.root) == before
    assert not (machine.root / "run/k0s").exists()
    assert os.listdir(claims) == ["ledger"]
    assert list(left_of_k0s(host)) == []


def test_a_disk_of_somebodys_stays_and_is_told(machine: Machine, mounted: ExitStack, claims: Path) -> None:
    host, state = host_of(machine), lived_in(machine)
    mount(mounted, "--bind", claims, state / "containerd/disk")
    make(host, outline.removal(force=False))
    assert os.listdir(claims) == ["ledger"]
    assert os.listdir(state) == ["containerd"]
    assert [left.partition(":")[0] for left in left_of_k0s(host)] == ["/var/lib/k0s/containerd/disk"]
    assert mounts(host, Path("/var/lib/k0s")) == [Path("/var/lib/k0s/containerd/disk")]


def test_a_folder_of_k0s_that_leads_elsewhere_is_told(machine: Machine, claims: Path) -> None:
    (machine.root / "var/lib/k0s").symlink_to(claims)
    host, state = host_of(machine), lived_in(machine)
    (state / "kept").touch()
    make(host, outline.removal(force=False))
    assert state.is_symlink()
    assert (claims / "ledger").exists()
    assert (claims / "kept").exists()
    assert list(left_of_k0s(host)) == [f"/var/lib/k0s: it is a link; remove by hand what k0s left at {claims}"]


def test_half_an_executable_is_none(machine: Machine) -> None:
    host, state = host_of(machine), lived_in(machine)
    broken = machine.root / "usr/local/bin/k0s"
    broken.write_bytes(b"half")
    broken.chmod(0o755)
    listed = plan(host, outline.first_controller(site(machine)))
    assert isinstance(listed[0].change, PlaceFile)  # an installation brings a whole one
    make(host, outline.removal(force=False))
    assert not state.exists()
    assert not broken.exists()
