"""Upgrades of k0rdent by its own means, and what there is nothing to upgrade of."""

import io
import tarfile

import pytest

from installer.chart import Chart
from installer.errors import SourceUnusable, WillNot
from installer.host import Host
from installer.kube import Cluster, Manifest
from installer.plan import apply, plan
from installer.settings import Settings
from installer.site import Wishes
from installer.steps.k0rdent import K0rdentRelease
from installer.upgrade import k0rdent_steps, k0s_steps, release_in
from installer.waiting import MANAGEMENT, MANAGEMENTS
from tests.installer.sites import running_version
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import run, start_controller

OLD, NEW = "1.35.2", "1.36.0"
RELEASE: Manifest = {
    "apiVersion": "k0rdent.mirantis.com/v1beta1",
    "kind": "Release",
    "metadata": {"name": "k0rdent-enterprise-1-3-0", "annotations": {"helm.sh/resource-policy": "keep"}},
    "spec": {"version": "1.3.0", "kcm": {"template": "kcm-1-3-0"}, "providers": [{"name": "p", "template": "p-1"}]},
}


def templates(**files: str) -> Chart:
    """A chart of templates with these files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"kcm-templates/files/{name}.yaml")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return Chart("kcm-templates", "1.3.0", made.getvalue(), nested=False)


@pytest.mark.client
def test_k0rdent_goes_to_another_release_once_its_templates_are_there(machine: Machine, host: Host) -> None:
    machine.script(looks=0, components=["kcm", "capi"])
    start_controller(machine)
    for kind in ("charts", "managements", "managements"):
        run(machine, "k0s", "kubectl", "get", kind, "-A")
    assert running_version(host) == "1.2.3"
    steps = [K0rdentRelease(RELEASE, "kcm-system")]
    list(next(planned.change for planned in plan(host, steps)).make(host))
    machine.script(looks=2)
    told = [f"{each.planned.change.describe()}: {each.note}" for each in apply(host, plan(host, steps))]
    assert told[0].startswith("wait until the templates of the release k0rdent-enterprise-1-3-0 are there")
    assert any("(k0rdent goes to release k0rdent-enterprise-1-3-0)" in each for each in told)
    assert any("1 of 2 components are ready; capi: HelmRelease is not ready yet" in each for each in told)
    management = Cluster(host).find(MANAGEMENTS, MANAGEMENT)
    assert management is not None
    assert management.text("status", "release") == "k0rdent-enterprise-1-3-0"
    assert plan(host, steps) == []
    assert running_version(host) == "1.3.0"


@pytest.mark.client
def test_there_is_nothing_to_upgrade_where_nothing_is_installed(machine: Machine, host: Host) -> None:
    machine.install_k0s(OLD)
    with pytest.raises(WillNot, match="'k0rdentd install' goes on with it"):
        k0s_steps(host, Settings(), Wishes())
    with pytest.raises(WillNot, match="no cluster answers here"):
        k0rdent_steps(host, Settings(), Wishes())
    start_controller(machine)
    with pytest.raises(WillNot, match="k0rdent is not installed on this cluster"):
        k0rdent_steps(host, Settings(), Wishes())


def test_a_release_is_found_among_a_charts_files() -> None:
    text = "apiVersion: k0rdent.mirantis.com/v1beta1\nkind: Release\nmetadata: {name: r-1}\n"
    assert release_in(templates(other="a: 1", release=text))["metadata"] == {"name": "r-1"}
    with pytest.raises(SourceUnusable, match=r"kcm-templates 1\.3\.0 holds no Release"):
        release_in(templates(other=text, release="kind: Other"))
    with pytest.raises(SourceUnusable, match="cannot be read"):
        release_in(Chart("kcm-templates", "1.3.0", b"nothing", nested=False))
