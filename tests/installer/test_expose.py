"""The user interface answers on a port of the nodes, by a Service that nobody else changes back."""

import pytest

from installer.errors import WillNot
from installer.exposure import NAME, UiExposed, UiHidden, addresses
from installer.host import Host
from installer.kube import Cluster
from installer.plan import apply, plan
from tests.conftest import k0rdentd
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import run, start_controller

pytestmark = pytest.mark.client


def test_the_user_interface_is_exposed_once(machine: Machine, host: Host) -> None:
    machine.script(looks=0)
    start_controller(machine)
    with pytest.raises(WillNot, match="no Service of k0rdent-ui"):
        plan(host, [UiExposed("kcm-system")])
    run(machine, "k0s", "kubectl", "get", "charts", "-A")
    list(apply(host, plan(host, [UiExposed("kcm-system")])))
    assert plan(host, [UiExposed("kcm-system")]) == []
    cluster = Cluster(host)
    charts = cluster.find("services", "kcm-k0rdent-ui", "kcm-system")
    ours = cluster.find("services", NAME, "kcm-system")
    assert charts is not None
    assert ours is not None
    assert charts.text("spec", "type") == "ClusterIP"
    assert ours.part("spec", "selector") == charts.part("spec", "selector")
    assert addresses(cluster, "kcm-system") == ["http://192.0.2.10:30080/"]
    done = k0rdentd("expose-ui", "--root", machine.root, "--port", "31000", env=machine.environment)
    assert done.stdout.splitlines()[-1] == "http://192.0.2.10:31000/", done.stderr
    list(apply(host, plan(host, [UiHidden("kcm-system")])))
    assert plan(host, [UiHidden("kcm-system")]) == []
    assert cluster.find("services", "kcm-k0rdent-ui", "kcm-system") is not None
