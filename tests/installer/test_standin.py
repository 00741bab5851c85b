"""The stand-in refuses what k0s refuses: otherwise the installer's tests would prove nothing."""

import base64
import gzip
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.installer.standin.clusterconfig import read_config
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import run, start_controller
from tests.installer.standin.units import Refused

TOKEN = ("k0s", "token", "create", "--role")


def refusal(machine: Machine, *words: str) -> str:
    """What a program says that ends with 1."""
    done = subprocess.run(words, env=machine.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, f"{words}: {done.stdout}"
    return done.stderr


def test_a_service_is_installed_started_stopped_and_reset_once(machine: Machine) -> None:
    start_controller(machine)
    unit = machine.root / "etc/systemd/system/k0scontroller.service"
    assert "--enable-worker=true" in unit.read_text()
    assert "already exists" in refusal(machine, "k0s", "install", "controller")
    assert "unknown flag: --start" in refusal(machine, "k0s", "install", "controller", "--force", "--start")
    assert "already running" in refusal(machine, "k0s", "start")
    assert "please stop k0s before reset" in refusal(machine, "k0s", "reset")
    status = json.loads(run(machine, "k0s", "status", "-o", "json"))
    assert (status["Role"], status["Workloads"], status["Version"]) == ("controller", True, "v1.32.8+k0s.0")
    token = yaml.safe_load(gzip.decompress(base64.b64decode(run(machine, *TOKEN, "worker", "--expiry", "24h"))))
    assert token["contexts"][0]["context"]["user"] == "kubelet-bootstrap"
    assert token["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    assert "invalid duration" in refusal(machine, *TOKEN, "worker", "--expiry", "1d")
    run(machine, "k0s", "stop")
    assert "already stopped" in refusal(machine, "k0s", "stop")
    assert "no such file" in refusal(machine, "k0s", "status")
    run(machine, "k0s", "reset")
    assert not unit.exists()
    assert not (machine.root / "var/lib/k0s").exists()
    assert (machine.root / "etc/k0s/k0s.yaml").exists()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"registry": {"mirrors": {}}}, 'unknown field "registry"'),
        ({"api": {"address": "0.0.0.0"}}, "INADDR_ANY"),
        ({"images": {"defaultPullPolicy": "Never"}}, "unknown field"),
        ({"network": {"podCIDR": "fd00::/108"}}, "both IPv4 or IPv6"),
        ({"extensions": {"helm": {"charts": [{"name": "a", "chartname": "b", "values": {}}]}}}, "of type string"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused(machine: Machine, spec: dict[str, object], said: str) -> None:
    (machine.root / "k0s.yaml").write_text(yaml.safe_dump({"kind": "ClusterConfig", "spec": spec}))
    with pytest.raises(Refused, match=said):
        read_config(machine.place, Path("/k0s.yaml"))


def test_k0s_1_36_does_not_start_over_a_file_of_containerd_1(machine: Machine) -> None:
    dropin = machine.root / "etc/k0s/containerd.d/k0rdentd.toml"
    dropin.parent.mkdir(parents=True)
    dropin.write_text('version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/c"\n')
    start_controller(machine, k0s="1.36.0")
    refusal(machine, "k0s", "status")
    assert "incompatible with containerd 2.x" in run(machine, "journalctl", "-u", "k0scontroller")
    dropin.write_text('[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/c"\n')
    run(machine, "k0s", "start")
    run(machine, "k0s", "status")


def test_a_worker_needs_a_token_of_its_own_kind(machine: Machine, tmp_path: Path) -> None:
    start_controller(machine)
    worker = Machine(tmp_path / "worker")
    worker.install_programs()
    worker.install_k0s("1.32.8")
    token = worker.root / "token"
    run(worker, "k0s", "install", "worker", "--token-file", "/token")
    try:
        for role in ("controller", "worker"):
            token.write_text(run(machine, *TOKEN, role))
            run(worker, "k0s", "start")
            if role == "controller":
                assert "wrong token type" in run(worker, "journalctl", "-u", "k0sworker")
        assert json.loads(run(worker, "k0s", "status", "-o", "json"))["ClusterConfig"] is None
        token.unlink()
        run(worker, "k0s", "stop")
        run(worker, "systemctl", "start", "k0sworker")
        assert run(worker, "systemctl", "is-active", "k0sworker") == "active\n"
    finally:
        worker.stop()


@pytest.mark.client
def test_a_controller_that_does_not_know_the_chart_takes_k0rdent_away(machine: Machine) -> None:
    machine.script(looks=0)
    start_controller(machine)
    run(machine, "k0s", "kubectl", "get", "charts", "-A")
    assert run(machine, "k0s", "kubectl", "get", "managements", "-o", "name")
    run(machine, "k0s", "stop")
    config = machine.root / "etc/k0s/k0s.yaml"
    config.write_text(config.read_text().partition("  extensions:")[0] + "  telemetry: {enabled: false}\n")
    run(machine, "k0s", "start")
    assert run(machine, "k0s", "kubectl", "get", "managements", "-o", "name") == ""
