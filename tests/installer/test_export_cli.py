"""Other machines join by what a controller exports."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from installer.host import Host
from tests.conftest import Server
from tests.installer.sites import host_of, k0s, tree
from tests.installer.standin.machine import Machine
from tests.installer.standin.token import create
from tests.installer.test_install_cli import NAME, Installer, registry

__all__ = ["registry"]
SCRIPT = Path(__file__).parents[2] / "installer/templates/install-worker.sh"


def another(machine: Machine, registry: Server, name: str) -> Installer:
    made = Machine(machine.root.parent / name)
    made.install_programs()
    made.script(looks=0)
    host_of(made)
    return Installer(made, registry)


def bring_k0s(machine: Machine) -> str:
    """What an operator who has no other way to it carried there."""
    shutil.copy(k0s(machine, "1.32.8").path, machine.root / "root/k0s")
    return "/root/k0s"


@pytest.mark.slow
def test_machines_join_with_the_same_configuration_and_a_token_that_is_gone_afterwards(
    machine: Machine, registry: Server
) -> None:
    host_of(machine)
    machine.script(looks=0)
    first = Installer(machine, registry)
    first.configure(
        registry,
        k0s={"api": {"sans": ["k0s.example"], "address": "192.0.2.1"}},
        k0rdent={"helm": {"values": {"extra": "said"}}},
        airgap={"registry": {"address": f"{NAME}:{registry.port}", "caFile": str(registry.ca)}},
    )
    first("install", "--k0s-version", "1.32.8", "--k0rdent-version", "1.2.3")
    for nowhere in ("not_an/ip", "127.0.0.1", "https://10.0.0.1"):
        assert "--controller-ip: " in first("export-join-config", "-o", "/root/x", "--controller-ip", nowhere, code=2)
    first("export-join-config", "-o", "/root/join", "--controller-ip", "192.0.2.1", "--expiry", "2h")
    exported = machine.root / "root/join"
    assert "The tokens work for 2h." in (exported / "README").read_text()
    assert "--overwrite" in first("export-join-config", "-o", "/root/join", code=3)
    assert ("k0s", "token", "create", "--role", "worker", "--expiry", "2h") in machine.calls()
    for file in exported.iterdir():
        private = "token" in file.name or file.suffix == ".yaml"
        assert stat.S_IMODE(file.stat().st_mode) == (0o600 if private else 0o644), file.name
    for role in ("controller", "worker"):
        node = another(machine, registry, role)
        shutil.copytree(exported, node.config.parent / f"{role}-join")
        node.config = node.config.parent / f"{role}-join" / f"{role}.yaml"
        token = (node.config.parent / f"{role}-token").read_text().strip()
        if role == "worker":  # which needs nothing of k0rdent, whatever its settings say of it
            node.config.write_text(f"{node.config.read_text()}k0rdent: {{version: 9.9.9}}\n")
        told = node("install", "--join", "--mode", role)
        # The CA is looked for beside the file; of k0rdent, the stand-in for a second controller knows nothing.
        assert f"{NAME}:{registry.port} serves" in node("status", code=int(role == "controller"))
        refuses_to_become_another(node, first)
        for word in ("stop", "reset"):  # by hand, and so it has to join once more
            subprocess.run(["k0s", word], env=node.machine.environment, check=True, capture_output=True)
        assert "goes on with it" in node("upgrade", "k0s", "--version", "1.33.4", code=3)
        told += node("install", "--join", "--mode", role)
        assert "nothing to do" in node("install", "--join", "--dry-run")
        node.machine.stop()
        assert token not in told + repr(node.machine.calls())
        assert not (node.machine.root / "var/lib/k0rdentd/installer/join-token").exists()
        if role == "controller":
            assert joined_config(node.machine) == joined_config(machine)
            assert (node.machine.root / "var/lib/k0rdentd/charts/k0rdent-enterprise-1.2.3.tgz").exists()


def test_a_token_that_would_not_do_is_told_before_anything_is_changed(machine: Machine, registry: Server) -> None:
    host_of(machine)
    node = Installer(machine, registry)
    join = {"mode": "worker", "server": "192.0.2.1", "tokenFile": "token"}
    node.config.write_text(yaml.safe_dump({"join": join}))
    right, other = (create(machine.place, role, "1h", {}) for role in ("worker", "controller"))
    file = node.config.parent / "token"
    before = tree(machine.root)
    contents: tuple[tuple[bytes | None, str], ...] = (
        (other.encode(), "is a token for a controller, and join.mode is worker"),
        (right[:-40].encode(), "is no token of k0s"),
        (b"\n", "it is empty"),
        (b"\xff\x00", "it holds what is no text"),
        (b"password: planted", "is no token of k0s"),
        (None, "cannot read join.tokenFile"),
    )
    for content, what in contents:
        file.unlink(missing_ok=True) if content is None else file.write_bytes(content)
        told = node("install", "--join", "--online", "--k0s-version", "1.32.8", code=3)
        assert what in told
        assert str(file) in told
        assert "planted" not in told
        assert content in (None, b"\n") or content not in told.encode()
    assert tree(machine.root) == before


def refuses_to_become_another(node: Installer, first: Installer) -> None:
    """With the configuration of the first controller, which is easily at hand."""
    own, before = node.config, tree(node.machine.root)
    node.config = first.config
    for words in (("install",), ("install", "--dry-run"), ("upgrade", "k0s", "--version", "1.33.4")):
        told = node(*words, code=3)
        assert "this machine is a worker of a cluster" in told or "is a controller that joined a cluster" in told
        assert "would make it the controller that a cluster began with" in told
    assert tree(node.machine.root) == before
    node.config = first.config.with_name("none.yaml")
    node.config.touch()
    assert "registry    unknown not looked at" in node("status", code=int("controller.yaml" in str(own)))
    node.config = own


@pytest.mark.slow
def test_machines_join_where_there_is_internet_and_only_controllers_are_told_of_k0rdent(
    machine: Machine, registry: Server
) -> None:
    host_of(machine)
    machine.script(looks=0)
    first = Installer(machine, registry)
    first.config.write_text("k0s: {version: v1.32.8+k0s.0}\nk0rdent: {version: 1.2.3}\n")
    first("install", "--online", "--k0s-binary", bring_k0s(machine))
    assert "nothing to do" in first("install", "--dry-run")  # what came from the internet stays so
    assert "trouble" not in first("status")
    assert "images: not looked for" not in first("preflight", code=1)  # for there is no kernel below a folder
    assert "github.com/k0sproject/k0s/releases/download/v1.33.4" in first(
        "upgrade", "k0s", "--version", "1.33.4", "--dry-run"
    )
    assert "releases come out of a registry" in first("upgrade", "k0rdent", code=3)
    settings, config = first.config.read_text(), machine.root / "etc/k0s/k0s.yaml"
    whole = config.read_bytes()
    first.config.write_text(settings.partition("k0rdent:")[0])
    config.unlink()
    assert "no longer tells which k0rdent is installed" in first("install", code=3)
    first.config.write_text(settings)
    config.write_bytes(whole)
    first("export-join-config", "-o", "/root/join", "--controller-ip", "192.0.2.1")
    for role in ("controller", "worker"):
        node = another(machine, registry, role)
        folder = shutil.copytree(machine.root / "root/join", node.config.parent / f"{role}-join")
        node.config = folder / f"{role}.yaml"
        assert ("k0rdent" in yaml.safe_load(node.config.read_text())) == (role == "controller")
        before = tree(node.machine.root)
        listed = node("install", "--online", "--join", "--mode", role, "--dry-run")
        assert "https://github.com/k0sproject/k0s/releases" in listed
        assert ("k0rdent-enterprise" in listed) == (role == "controller")
        assert tree(node.machine.root) == before
        node("install", "--online", "--join", "--mode", role, "--k0s-binary", bring_k0s(node.machine))
        node.machine.stop()
        if role == "controller":
            assert joined_config(node.machine) == joined_config(machine)


def test_a_controller_whose_installation_has_not_ended_exports_nothing(
    machine: Machine, controller: Host, registry: Server
) -> None:
    before = tree(machine.root)
    told = Installer(machine, registry)(
        "export-join-config", "-o", "/root/join", "--controller-ip", "192.0.2.1", code=3
    )
    assert "'k0rdentd install' goes on with it" in told
    assert tree(machine.root) == before


def joined_config(machine: Machine) -> object:
    """Without what each controller says of itself."""
    document = yaml.safe_load((machine.root / "etc/k0s/k0s.yaml").read_text())
    del document["spec"]["api"]["address"], document["spec"]["storage"]["etcd"]["peerAddress"]
    return document


def test_before_an_installation_a_worker_gets_the_k0s_that_it_would_take(machine: Machine, registry: Server) -> None:
    host_of(machine)
    installer = Installer(machine, registry)
    (machine.root / "root/worker").mkdir(mode=0o755)
    told = installer("export-worker-artifacts", "-o", "/root/worker")
    assert stat.S_IMODE((machine.root / "root/worker").stat().st_mode) == 0o755  # it may be /tmp
    assert f"k0s v1.33.4+k0s.0 out of 127.0.0.1:{registry.port}/k0sproject/k0s:v1.33.4-k0s.0" in told
    assert (machine.root / "root/worker/k0s").read_bytes() == machine.k0s_program("1.33.4")
    assert (machine.root / "root/worker/k0s").stat().st_mode & 0o777 == 0o755


def test_a_worker_can_do_without_k0rdentd(machine: Machine, registry: Server) -> None:
    host_of(machine)
    machine.install_k0s("1.32.8")
    Installer(machine, registry)("export-worker-artifacts", "-o", "/root/worker")
    exported = machine.root / "root/worker"
    assert (exported / "k0s").read_bytes() == machine.k0s_program("1.32.8")
    assert "version = 2" in (exported / "etc/k0s/containerd.d/k0rdentd.toml").read_text()
    assert f"127.0.0.1:{registry.port}" in (exported / "etc/k0s/certs.d/quay.io/hosts.toml").read_text()
    node = another(machine, registry, "node")
    token = node.machine.root / "root/token"
    token.write_text(create(node.machine.place, "worker", "1h", {"address": "192.0.2.1"}))
    wrong = node.machine.root / "root/wrong"
    wrong.write_text(create(node.machine.place, "controller", "1h", {"address": "192.0.2.1"}))
    untouched = tree(node.machine.root)
    refused = subprocess.run(
        [exported / "install-worker.sh", wrong], env=node.environment, capture_output=True, check=False
    )
    assert (refused.returncode, b"holds no token for a worker" in refused.stderr) == (3, True)
    assert tree(node.machine.root) == untouched
    shown = ""
    for words in ([], [token], []):
        ran = subprocess.run(
            [exported / "install-worker.sh", *words], env=node.environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == (0 if words or "joined" in shown else 3), ran.stdout + ran.stderr
        shown = ran.stdout
    assert (node.machine.root / "usr/local/bin/k0s").read_bytes() == machine.k0s_program("1.32.8")
    hosts = node.machine.root / "etc/k0s/certs.d/quay.io/hosts.toml"
    assert stat.S_IMODE(hosts.stat().st_mode) == 0o644
    assert not (node.machine.root / "etc/k0s/join-token").exists()
    node.machine.stop()


@pytest.mark.parametrize("shell", ["bash", "dash", "shellcheck"])
def test_the_script_is_one_that_shells_take(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    words = [shell, str(SCRIPT)] if shell == "shellcheck" else [shell, "-n", str(SCRIPT)]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
