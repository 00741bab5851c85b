"""What is waited for comes about step by step, and what holds it up is told."""

from pathlib import Path

import pytest

from installer.changes import Wait
from installer.errors import WaitedInVain
from installer.host import Host
from installer.steps.k0rdent import K0rdentRuns
from installer.waiting import ChartInstalled, ManagementReady, NodeReady, ReleaseReady, TemplatesValid
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import start_controller

pytestmark = pytest.mark.client

RELEASE = "k0rdent-enterprise-1-2-3"
LONG, SHORT = 60.0, 0.0


def test_a_cluster_comes_up_and_every_step_is_told_once(machine: Machine, host: Host) -> None:
    machine.script(components=["kcm", "capi", "projectsveltos"])
    start_controller(machine)
    told = [*Wait(NodeReady("v1.32.8+k0s.0"), LONG).make(host)]
    assert [line.partition(":")[0] for line in told[:2]] == [
        "the kubelet is not connected",
        "the API server is not ready",
    ]
    assert told[2].endswith("is not Ready: kubelet is posting ready status")
    machine.script(looks=0)
    assert ReleaseReady(RELEASE).lacking(host) is not None
    list(Wait(ChartInstalled("kcm", "1.2.3"), LONG).make(host))
    told = [*Wait(ManagementReady(RELEASE), LONG).make(host)]
    assert [line[:6] for line in told] == [f"{ready} of 3" for ready in range(3)]
    assert "capi: HelmRelease is not ready yet" in told[0]
    for done in (ChartInstalled("kcm", "1.2.3"), ReleaseReady(RELEASE), ManagementReady()):
        assert done.lacking(host) is None


def test_before_there_is_a_cluster_that_is_what_lacks(host: Host, machine: Machine) -> None:
    machine.install_k0s("1.32.8")
    assert "does not answer" in (NodeReady().lacking(host) or "")
    assert "does not answer" in (NodeReady().lacking(Host(Path("/nonexistent"))) or "")
    start_controller(machine)
    assert "not defined its kinds" in (ManagementReady().lacking(host) or "")


def test_a_wait_in_vain_says_what_blocked(machine: Machine, host: Host) -> None:
    machine.script(looks=0, node_ready=False, chart_error="context deadline exceeded\nwhile waiting")
    start_controller(machine)
    with pytest.raises(WaitedInVain, match="cni plugin not initialized"):
        list(Wait(NodeReady(), SHORT).make(host))
    with pytest.raises(WaitedInVain, match=r"cannot install the chart kcm, .* exceeded while waiting"):
        list(Wait(ChartInstalled("kcm", "1.2.3"), SHORT).make(host))


def test_a_component_that_fails_is_told_by_name_and_may_recover(machine: Machine, host: Host) -> None:
    errors = {"capi": "denied by webhook", "kcm": "image not found"}
    machine.script(looks=0, components=["kcm", "capi", "projectsveltos"], component_errors=errors)
    start_controller(machine)
    list(Wait(ChartInstalled("kcm", "1.2.3"), LONG).make(host))
    told = [ManagementReady().lacking(host) for _ in range(3)]
    assert told[-1] == "1 of 3 components are ready; capi: denied by webhook; kcm: image not found"
    machine.script(component_errors={})
    list(Wait(ManagementReady(), LONG).make(host))


def test_templates_are_waited_for_and_one_that_is_not_valid_is_told_by_name(machine: Machine, host: Host) -> None:
    errors = {"aws-standalone-cp-1-0-0": "failed to pull chart: 404 Not Found"}
    machine.script(looks=0, components=["kcm", "capi"], template_errors=errors)
    start_controller(machine)
    list(Wait(NodeReady(), LONG).make(host))
    list(Wait(ChartInstalled("kcm", "1.2.3"), LONG).make(host))
    list(Wait(ManagementReady(), LONG).make(host))
    templates = TemplatesValid("kcm-system")
    blocked = r"ClusterTemplate aws-standalone-cp-1-0-0: failed to pull chart: 404 Not Found; mend that"
    with pytest.raises(
        WaitedInVain, match=f"until k0rdent's templates are valid: 2 of 3 templates are valid; {blocked}"
    ):
        list(Wait(templates, SHORT).make(host))
    assert TemplatesValid("elsewhere").lacking(host) is None  # those of others are theirs
    (left,) = K0rdentRuns("1.2.3", "kcm-system", SHORT).changes(host)
    assert left.describe().startswith("wait until k0rdent's templates are valid")
    machine.script(template_errors={})
    list(Wait(templates, LONG).make(host))
