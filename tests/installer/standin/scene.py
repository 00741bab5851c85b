"""A controller as an installation leaves it: k0s runs with a configuration that has k0rdent's chart."""

import subprocess

import yaml

from tests.installer.standin.machine import Machine

CHART = "/var/lib/k0rdentd/charts/k0rdent-enterprise-{version}.tgz"


def start_controller(machine: Machine, k0s: str = "1.32.8", k0rdent: str = "1.2.3") -> None:
    """Install k0s, write its configuration and start it; the rest comes about as the script says."""
    machine.install_k0s(k0s)
    chart = machine.place.at(CHART.format(version=k0rdent))
    chart.parent.mkdir(parents=True, exist_ok=True)
    chart.touch()
    config = machine.root / "etc/k0s/k0s.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(yaml.safe_dump(_config(k0rdent)))
    run(machine, "k0s", "install", "controller", "--enable-worker", "--no-taints", "-c", "/etc/k0s/k0s.yaml")
    run(machine, "k0s", "start")


def run(machine: Machine, *words: str, stdin: str = "") -> str:
    """What a program prints on that machine, once it has succeeded."""
    done = subprocess.run(words, env=machine.environment, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def _config(k0rdent: str) -> dict[str, object]:
    chart = {
        "name": "kcm",
        "chartname": CHART.format(version=k0rdent),
        "version": k0rdent,
        "namespace": "kcm-system",
        "timeout": "45m",
        "values": "controller: {globalRegistry: 10.0.0.1:5000}\n",
    }
    return {
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {
            "api": {"address": "10.0.0.1"},
            "telemetry": {"enabled": False},
            "extensions": {"helm": {"charts": [chart]}},
        },
    }
