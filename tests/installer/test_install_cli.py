"""The commands against a real registry that has a bundle's k0s and chart, on a machine that is a folder."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping

import pytest
import yaml

from bench.archive import files
from bench.layout import chart, image, layer
from installer.host import Host
from installer.lock import alone
from registry.storage.store import Store
from tests.conftest import COMMAND, Server, serving
from tests.images import publish
from tests.installer.preflight.machines import lay_out, remove, write
from tests.installer.sites import host_of, tree
from tests.installer.standin.machine import Machine

# The loopback by a name that nobody takes for it: a site's registry has an address that other machines know.
NAME = "0x7f.0x1"
pytestmark = pytest.mark.slow

PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """What is left of a bundle when all that an installation itself reads is taken out of it."""
    folder = tmp_path_factory.mktemp("registry")
    store = Store.open([folder / "store"])
    for version in ("1.32.8", "1.33.4"):
        below, program = layer(files({"etc/os-release": b"x"})), Machine.k0s_program(version)
        binary = layer(files({"usr/local/bin/k0s": program}, mode=0o755))
        publish(store, image([below, binary]), f"k0sproject/k0s:v{version}-k0s.0")
    for version in ("1.2.3", "1.10.0"):
        publish(store, chart("k0rdent-enterprise", version), f"charts/k0rdent-enterprise:{version}")
    store.close()
    arguments = ("-s", folder / "store", "--workers", "2", "--tls-san", NAME)
    with serving(*arguments, log=folder / "log", ca=folder / "store/pki/ca.crt") as running:
        yield running


class Installer:
    """The real command, told that the machine is the whole world."""

    def __init__(self, machine: Machine, registry: Server) -> None:
        self.machine = machine
        self.config = machine.root.parent / "k0rdentd.yaml"
        self.skip_preflight = True  # there is no kernel below the folder
        self.configure(registry)

    def configure(self, registry: Server, **sections: object) -> None:
        base = {"airgap": {"registry": {"address": f"localhost:{registry.port}"}, "mirrors": ["quay.io"]}}
        self.config.write_text(yaml.safe_dump(base | sections))

    @property
    def environment(self) -> Mapping[str, str]:
        root = str(self.machine.root)
        return self.machine.environment | {
            "K0RDENTD_ROOT": root,
            "K0RDENTD_OWN_ADDRESS": "127.0.0.1",
            "K0RDENTD_PACE": "0.01",
            "K0RDENTD_SKIP_PREFLIGHT": str(self.skip_preflight),
        }

    def begin(self, *words: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "-c", str(self.config), *words]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        process = self.begin(*words)
        shown, _ = process.communicate(timeout=120)
        assert process.returncode == code, shown
        return shown


@pytest.fixture
def k0rdentd(machine: Machine, registry: Server) -> Installer:
    host_of(machine)
    machine.script(looks=0)
    return Installer(machine, registry)


def test_a_host_is_installed_from_the_registry_and_taken_back(
    k0rdentd: Installer, machine: Machine, registry: Server
) -> None:
    mine = machine.root / "etc/k0s/k0s.yaml"
    mine.parent.mkdir()
    mine.write_text("# mine\n")
    mine.chmod(0o640)
    machine.install_k0s("1.31.2")
    before = tree(machine.root)
    assert "--replace-k0s" in k0rdentd("install", code=3)
    listed = k0rdentd("install", "--dry-run", "--k0s-version", "v1.32.8", "--replace-k0s")
    assert f"repository: 127.0.0.1:{registry.port}" in listed
    assert tree(machine.root) == before
    machine.script(looks=1)
    told = k0rdentd("install", "--k0s-version", "v1.32.8", "--replace-k0s")
    assert "components are ready" in told
    number = listed.strip().splitlines()[-1].split()[0]
    assert f"[{number}/{number}]" in told
    assert "nothing to do" in k0rdentd("install", "--dry-run")  # the versions that are there stay
    (installed,) = yaml.safe_load(mine.read_text())["spec"]["extensions"]["helm"]["charts"]
    assert installed["version"] == "1.10.0"
    assert "localhost" not in installed["values"]
    k0rdentd.skip_preflight, before_it = False, tree(machine.root)
    assert "lacks images of k0s" in k0rdentd("install", "--k0s-version", "1.33.4", "--replace-k0s", code=3)
    assert tree(machine.root) == before_it
    hosts = machine.root / "etc/k0s/certs.d/quay.io/hosts.toml"
    hosts.write_text("# edited\n")
    assert f"left /{hosts.relative_to(machine.root)}" in k0rdentd("uninstall")
    assert hosts.read_text() == "# edited\n"
    k0rdentd("uninstall", "--force")
    assert tree(machine.root) == before
    assert not (machine.root / "run/k0rdentd-kube-cache").exists()


def test_an_installation_that_was_killed_goes_on_and_nobody_ever_sees_a_secret(
    k0rdentd: Installer, machine: Machine, registry: Server
) -> None:
    account = {"name": "aws", "accessKeyID": "AKIAEXAMPLE", "secretAccessKey": PASSWORD}
    helm = {"values": {"proxy": {"password": PASSWORD}, "url": f"http://user:{PASSWORD}@proxy"}}
    k0rdentd.configure(registry, k0rdent={"helm": helm, "credentials": {"aws": [account]}})
    shown = k0rdentd("install", "--dry-run")
    process = k0rdentd.begin("--debug", "install")
    assert process.stdout is not None
    for line in process.stdout:
        shown += line
        if "k0s start" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    k0rdentd.skip_preflight = False  # what has begun goes on, wherever it is
    shown += k0rdentd("--debug", "install")  # which looks once more whether all is as it should be
    assert len([call for call in machine.calls("k0s") if call[1] == "start"]) <= 2
    assert PASSWORD not in shown + repr(machine.calls())
    readable = [path for path in machine.root.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    own = machine.root / "var/lib/k0s/standin-objects.json"  # the stand-in's etcd
    assert not [path for path in readable if path != own and PASSWORD.encode() in path.read_bytes()]


def check_that_a_cluster_keeps_what_it_cannot_change(k0rdentd: Installer, machine: Machine, registry: Server) -> None:
    before = tree(machine.root)
    network = {"podCIDR": "10.200.0.0/16", "clusterDomain": "k.example"}
    kine = {"type": "kine", "kine": {"dataSource": f"mysql://u:{PASSWORD}@h/db"}}
    k0rdentd.configure(registry, k0s={"network": network, "storage": kine}, k0rdent={"helm": {"namespace": "other"}})
    told = k0rdentd("install", code=3)
    for part in (
        "k0s.network.podCIDR is 10.244.0.0/16 and would be 10.200.0.0/16",
        "k0s.network.clusterDomain is cluster.local and would be k.example",
        "k0s.storage.type is etcd and would be kine",
        "k0rdent.helm.namespace is kcm-system and would be other",
    ):
        assert part in told
    assert "provider" not in told
    assert PASSWORD not in told
    assert tree(machine.root) == before
    k0rdentd.configure(registry, k0s={"api": {"sans": ["k0s.example"]}})
    assert "+    - k0s.example" in k0rdentd("install", "--dry-run")
    k0rdentd.configure(registry)


def test_an_installation_comes_back_as_it_was_and_not_as_another_one(
    k0rdentd: Installer, machine: Machine, registry: Server
) -> None:
    k0rdentd("install", "--k0s-version", "1.32.8", "--k0rdent-version", "1.2.3")
    check_that_a_cluster_keeps_what_it_cannot_change(k0rdentd, machine, registry)
    config, program = machine.root / "etc/k0s/k0s.yaml", machine.root / "usr/local/bin/k0s"
    before = config.read_bytes(), program.read_bytes()
    config.unlink()
    program.unlink()
    listed = k0rdentd("install", "--dry-run")
    assert "k0sproject/k0s:v1.32.8-k0s.0" in listed
    assert "/usr/local/bin/k0s stop" not in listed
    k0rdentd("install")
    for word in ("stop", "reset"):  # by hand
        subprocess.run(["k0s", word], env=machine.environment, check=True, capture_output=True)
    k0rdentd("install")
    assert (config.read_bytes(), program.read_bytes()) == before
    (machine.root / "etc/systemd/system/k0scontroller.service").unlink()
    k0rdentd("install")
    assert "nothing to do" in k0rdentd("install", "--dry-run")


@pytest.mark.parametrize(
    "words",
    [("install",), ("uninstall",), ("upgrade", "k0s", "--version", "1.33.4"), ("upgrade", "k0rdent", "-b", "next.tar")],
)
def test_a_second_installer_stays_outside_and_looks_at_nothing_that_another_one_changes(
    k0rdentd: Installer, machine: Machine, controller: Host, words: tuple[str, ...]
) -> None:
    before = tree(machine.root), machine.calls()
    with alone(controller):
        assert "another installation" in k0rdentd(*words, code=3)
    assert (tree(machine.root), machine.calls()) == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("install", "--k0s-version", "1.31.2"), 3, "only v1.32.8+k0s.0, v1.33.4+k0s.0"),
        (("install", "--k0rdent-version", "9.9.9"), 3, "has no charts/k0rdent-enterprise:9.9.9"),
        (("install", "--mode", "worker"), 2, "--mode is for --join"),
        (("install", "--join"), 2, "no section 'join'"),
        (("install", "--online"), 3, "installs online, where no bundle says which k0s is needed: set k0s.version"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is(
    k0rdentd: Installer, machine: Machine, words: tuple[str, ...], code: int, sentence: str
) -> None:
    before = tree(machine.root)
    assert sentence in k0rdentd(*words, code=code)
    assert tree(machine.root) == before


def test_a_k0s_of_somebody_else_is_left_alone(k0rdentd: Installer, machine: Machine) -> None:
    machine.install_k0s("1.32.8")
    subprocess.run(["k0s", "install", "worker"], env=machine.environment, check=True)
    before = tree(machine.root)
    assert "k0rdentd did not install it" in k0rdentd("install", "--replace-k0s", code=3)
    k0rdentd("uninstall")
    assert tree(machine.root) == before


def test_a_machine_that_will_not_do_is_refused(k0rdentd: Installer, machine: Machine) -> None:
    k0rdentd.skip_preflight = False
    lay_out(machine.root)
    remove(machine.root, "run/systemd")
    remove(machine.root, "proc/net/route")
    before = tree(machine.root)
    told = k0rdentd("install", code=3)
    assert "systemd: systemd does not run here" in told
    assert "→ install on a machine (or VM) that boots with systemd" in told
    assert "→ add one (ip route add default" in told
    assert "swap" not in told  # but nothing that is well
    planned = k0rdentd("install", "--dry-run")
    assert "nothing was changed" in planned
    assert "'install' would refuse: this machine will not do" in planned
    assert "systemd: systemd does not run here" in planned
    assert "would refuse" not in k0rdentd("install", "--dry-run", "--skip-preflight")
    assert tree(machine.root) == before
    assert "only v1.32.8" in k0rdentd("install", "--skip-preflight", "--k0s-version", "1.31.2", code=3)


def test_images_that_the_registry_lacks_are_told_before_anything_is_changed(
    k0rdentd: Installer, machine: Machine
) -> None:
    if shutil.disk_usage(machine.root).free < 30 << 30:
        pytest.skip("the machine would be refused for its disk")
    k0rdentd.skip_preflight = False
    lay_out(machine.root)
    write(machine.root, "etc/hosts", f"127.0.1.1 {socket.gethostname().lower()}\n")
    before = tree(machine.root)
    told = k0rdentd("install", "--k0s-version", "1.32.8", code=3)
    assert "lacks images of k0s, and --skip-preflight would begin all the same" in told
    assert "kube-proxy:v1.32.8 is not in the registry" in told  # of the k0s that is asked for, not of the newest
    assert told.count("→") == 1
    assert tree(machine.root) == before
    assert "[1/" in k0rdentd("install", "--skip-preflight")
