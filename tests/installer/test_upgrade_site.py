"""Upgrades out of a real registry: what it has is found, and what it lacks is told before anything is touched."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from bench.archive import files
from bench.layout import chart, image, layer
from installer import outline
from installer.changes import Run, Wait
from installer.errors import WillNot
from installer.host import Host
from installer.k0s import Status
from installer.paths import CONTAINERD_DROPIN, K0S
from installer.plan import Step, apply, plan
from installer.settings import Settings
from installer.settings_types import ChartVersion, K0sVersion
from installer.site import Wishes
from installer.upgrade import k0rdent_steps, k0s_steps
from installer.waiting import NodeReady
from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, serving
from tests.images import publish, small_image
from tests.installer.sites import running_version, site, tree
from tests.installer.standin.containerd import config_path
from tests.installer.standin.images import list_images
from tests.installer.standin.machine import Machine

pytestmark = pytest.mark.client

OLD, NEW = "1.35.2", "1.36.0"
RELEASE = {
    "apiVersion": "k0rdent.mirantis.com/v1beta1",
    "kind": "Release",
    "metadata": {"name": "k0rdent-enterprise-1-3-0"},
    "spec": {"version": "1.3.0"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that has both versions of k0s and of k0rdent's chart, and k0s 1.37."""
    folder = tmp_path_factory.mktemp("registry")
    store = Store.open([folder / "store"])
    for version in (OLD, NEW, "1.37.0"):
        binary = layer(files({"usr/local/bin/k0s": Machine.k0s_program(version)}, mode=0o755))
        publish(store, image([binary]), f"k0sproject/k0s:v{version}-k0s.0")
    for listed in (*list_images(NEW, "", "", everything=True), "/k0sproject/kube-proxy:v1.37.0-1"):
        publish(store, small_image(), listed.partition("/")[2])
    for version in ("1.2.3", "1.3.0"):
        publish(store, chart("k0rdent-enterprise", version), f"charts/k0rdent-enterprise:{version}")
    templates = chart("kcm-templates", "1.3.0", {"files/release.yaml": yaml.safe_dump(RELEASE).encode()})
    publish(store, templates, "charts/kcm-templates:1.3.0")
    store.close()
    ca = folder / "store/pki/ca.crt"
    with serving("-s", folder / "store", "--workers", "2", log=folder / "log", ca=ca) as server:
        yield server


def config(server: Server) -> dict[str, object]:
    """The configuration file of a machine on which this registry runs."""
    return {"registry": {"port": server.port, "storage": [str(server.log.parent / "store")]}}


def apply_until(host: Host, steps: Sequence[Step], last: str) -> list[str]:
    """Apply up to the run of k0s with that word, as if it was killed then; returns the words of all runs."""
    words: list[str] = []
    for told in apply(host, plan(host, steps)):
        if last in words:
            break
        change = told.planned.change
        if isinstance(change, Run) and change.argv[0] == str(K0S):
            words.append(change.argv[1])
    return words


def check_that_a_k0s_without_an_image_is_refused(registry: Server, machine: Machine, host: Host) -> None:
    """Whichever image it is; and nothing has been changed then."""
    lacking = ("k0sproject/coredns:1.14.6-k0s.0", "k0sproject/cni-node:v1.9.1-k0s.1")
    assert k0rdentd("store", "rm", *lacking, "-s", registry.log.parent / "store").returncode == 0
    settings, wishes = Settings.model_validate(config(registry)), Wishes(k0s_version=K0sVersion.parse("1.37.0"))
    before = tree(machine.root)
    with pytest.raises(WillNot, match="lacks images of k0s") as refusal:
        k0s_steps(host, settings, wishes)
    told = str(refusal.value)
    assert [image for image in lacking if f"/{image} is not in the registry" not in told] == []
    assert "kube-proxy" not in told
    assert "k0rdentd load" in told
    assert tree(machine.root) == before
    assert plan(host, k0s_steps(host, settings, wishes, any_images=True))


def test_k0s_and_k0rdent_are_upgraded_out_of_the_registry(registry: Server, machine: Machine, tmp_path: Path) -> None:
    machine.script(looks=0, components=["kcm"])
    host = Host(machine.root, machine.environment, pace=0.01, own_address="127.0.0.1")
    list(apply(host, plan(host, outline.controller(site(machine, OLD)))))
    settings = Settings.model_validate(config(registry))
    with pytest.raises(WillNot, match="one minor version at a time"):
        k0s_steps(host, settings, Wishes(k0s_version=K0sVersion.parse("1.37.0")))
    steps = k0s_steps(host, settings, Wishes(k0s_version=K0sVersion.parse(NEW)))
    planned = plan(host, steps)
    assert planned[-1].change.describe().startswith(f"wait until the node is Ready with v{NEW}+k0s.0")
    # Killed when k0s was stopped, it goes on; and no k0s has met what only the other version reads.
    assert apply_until(host, steps, "stop") == ["config", "stop"]
    assert b"version = 2" in (host.read(CONTAINERD_DROPIN) or b"")
    steps = k0s_steps(host, settings, Wishes(k0s_version=K0sVersion.parse(NEW)))
    assert apply_until(host, steps, "never") == ["config", "install", "start"]
    assert config_path(machine.place, NEW) == "/etc/k0s/certs.d"
    assert NodeReady(f"v{NEW}+k0s.0").lacking(host) is None
    status = Status.of(host)
    assert status is not None
    assert status.version == f"v{NEW}+k0s.0"
    check_that_a_k0s_without_an_image_is_refused(registry, machine, host)
    with pytest.raises(WillNot, match=r"k0rdent 1\.2\.3 runs here, and does not go back to 1\.2\.2"):
        k0rdent_steps(host, settings, Wishes(k0rdent_version=ChartVersion.parse("1.2.2")))
    # What runs needs no bundle any more: the registry never had these templates.
    same = k0rdent_steps(host, settings, Wishes(k0rdent_version=ChartVersion.parse("1.2.3")))
    assert all(isinstance(each.change, Wait) for each in plan(host, same))
    file = tmp_path / "k0rdentd.yaml"
    file.write_text(yaml.safe_dump(config(registry)))
    environment = machine.environment | {"K0RDENTD_OWN_ADDRESS": "127.0.0.1", "K0RDENTD_PACE": "0.01"}
    command = ("-c", file, "upgrade", "k0rdent", "--root", machine.root)
    shown = k0rdentd(*command, "--dry-run", "-b", "next.tar.gz", env=environment)
    assert f"-c {file} load next.tar.gz -s {registry.log.parent / 'store'}'" in shown.stdout
    assert "apply Release k0rdent-enterprise-1-3-0" in shown.stdout, shown.stderr
    assert "+  release: k0rdent-enterprise-1-3-0" in shown.stdout
    assert running_version(host) == "1.2.3"
    done = k0rdentd(*command, env=environment)
    assert done.returncode == 0, done.stderr
    assert running_version(host) == "1.3.0"
    assert k0rdentd(*command, env=environment).stdout == "nothing to do: all is as it should be\n"
    # The bundle that k0rdent's first chart came with may be gone by the next upgrade of k0s.
    gone = k0rdentd("store", "rm", "charts/k0rdent-enterprise:1.2.3", "-s", registry.log.parent / "store")
    assert gone.returncode == 0, gone.stderr
    again = k0s_steps(host, settings, Wishes(k0s_version=K0sVersion.parse(NEW)), any_images=True)
    assert plan(host, again) == []
