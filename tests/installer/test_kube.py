"""Objects of the cluster by the real kubectl: found, applied, changed, and what goes wrong told by name."""

import base64
import json
from collections.abc import Iterator

import pytest

from installer.errors import ClusterRefuses, KindUnknown, WaitedInVain
from installer.host import Host
from installer.kube import Cluster, Manifest, holds
from installer.objects import ApplyObject, ensure_object
from tests.installer.standin.machine import Machine
from tests.installer.standin.scene import start_controller

pytestmark = pytest.mark.client

PASSWORD = "not-for-the-command-line"
SECRET: Manifest = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "cloud", "namespace": "default", "labels": {"by": "us"}},
    "data": {"password": base64.b64encode(PASSWORD.encode()).decode()},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One controller for all tests here; each has objects of its own."""
    machine = Machine(tmp_path_factory.mktemp("kube") / "host")
    machine.install_programs()
    start_controller(machine)
    yield machine
    machine.stop()


@pytest.fixture
def controller(running: Machine) -> Host:
    return Host(running.root, running.environment, pace=0.01)


def config_map(**data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "default"},
        "data": data,
    }


def test_an_object_is_applied_once_and_found_again(controller: Host, running: Machine) -> None:
    cluster = Cluster(controller)
    assert cluster.find("secrets", "cloud", "default") is None
    for change in ensure_object(controller, SECRET):
        assert PASSWORD not in change.describe() + repr(change) + "".join(change.difference(controller))
        assert list(change.make(controller)) == []
    assert list(ensure_object(controller, SECRET)) == []
    found = cluster.find("secrets", "cloud", "default")
    assert found is not None
    assert holds(found.document, SECRET)
    assert [each.name for each in cluster.list("secrets", labels="by=us")] == ["cloud"]
    said = json.dumps(running.calls())
    assert PASSWORD not in said
    assert base64.b64encode(PASSWORD.encode()).decode() not in said


def test_what_we_no_longer_say_goes_and_what_others_say_stays(controller: Host) -> None:
    cluster = Cluster(controller)
    cluster.apply(config_map(ours="1", old="1"))
    cluster.patch("configmaps", "settings", {"data": {"theirs": "1"}}, "default")
    cluster.apply(config_map(ours="2"))
    found = cluster.find("configmaps", "settings", "default")
    assert found is not None
    assert found.section("data") == {"ours": "2", "theirs": "1"}
    cluster.delete("configmaps", "settings", "default")
    cluster.delete("configmaps", "settings", "default")
    assert cluster.find("configmaps", "settings", "default") is None


def test_a_kind_that_is_not_there_yet_is_an_error_of_its_own(controller: Host) -> None:
    cluster = Cluster(controller)
    credential: Manifest = {
        "apiVersion": "k0rdent.mirantis.com/v1beta1",
        "kind": "Credential",
        "metadata": {"name": "cloud", "namespace": "default"},
    }
    with pytest.raises(KindUnknown, match="Credential default/cloud"):
        cluster.apply(credential)
    with pytest.raises(KindUnknown):
        cluster.find_like(credential)
    with pytest.raises(KindUnknown):
        cluster.list("managements.k0rdent.mirantis.com")
    assert len(list(ensure_object(controller, credential))) == 1


def test_a_refusal_names_the_object(controller: Host) -> None:
    lost: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "nowhere"}}
    with pytest.raises(ClusterRefuses, match=r'cannot apply Secret nowhere/s: .*namespaces "nowhere" not found'):
        Cluster(controller).apply(lost)
    with pytest.raises(ClusterRefuses, match="cannot change nodes nobody"):
        Cluster(controller).patch("nodes", "nobody", {"spec": {}})


def test_without_a_cluster_everything_is_still_to_do(host: Host, machine: Machine) -> None:
    machine.install_k0s("1.32.8")
    assert len(list(ensure_object(host, SECRET))) == 1
    with pytest.raises(ClusterRefuses, match="cannot apply Secret default/cloud"):
        Cluster(host).apply(SECRET)


def test_an_api_server_that_cannot_answer_now_is_asked_again(controller: Host, running: Machine) -> None:
    manifest = {**config_map(a="1"), "metadata": {"name": "later", "namespace": "default"}}
    running.script(webhook_down=True)
    with pytest.raises(WaitedInVain, match="failed calling webhook"):
        list(ApplyObject(manifest, patience=0).make(controller))
    told = []
    for note in ApplyObject(manifest).make(controller):
        told.append(note)
        running.script(webhook_down=False)
    assert len(told) == 1
    assert "cannot apply ConfigMap default/later: " in told[0]
    assert list(ensure_object(controller, manifest)) == []


@pytest.mark.parametrize(
    ("live", "wanted", "so"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, False),
        ({"a": {}}, {"a": {}}, True),
        ({"a": {"selector": {}, "names": None}}, {"a": {}}, True),
        ({"a": {"selector": {"matchLabels": {}}}}, {"a": {}}, False),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
    ],
)
def test_what_is_wanted_holds(live: object, wanted: object, so: bool) -> None:
    assert holds(live, wanted) is so
