"""k0rdent's user interface on a port of every node.

The chart's own Service belongs to Helm and Flux, which would change it back; so this is one more, with the same pods.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from installer.changes import Change
from installer.errors import ClusterRefuses, WillNot
from installer.host import Host
from installer.kube import Cluster, Manifest, Object
from installer.objects import DeleteObject, ensure_object

NAME = "k0rdentd-ui"
_UI = "k0rdent-ui"
_OURS = {"app.kubernetes.io/managed-by": "k0rdentd"}
_READY = "InternalIP"


@dataclass(frozen=True, slots=True)
class UiExposed:
    """The user interface answers on a port of every node; Kubernetes picks the port unless one is asked for."""

    namespace: str
    port: int | None = None
    title: str = "user interface of k0rdent"

    def changes(self, host: Host) -> Iterator[Change]:
        yield from ensure_object(host, exposing(find_ui(Cluster(host), self.namespace), self.port))


@dataclass(frozen=True, slots=True)
class UiHidden:
    """The user interface answers inside the cluster alone, as the chart has it."""

    namespace: str
    title: str = "user interface of k0rdent"

    def changes(self, host: Host) -> Iterator[Change]:
        if Cluster(host).find("services", NAME, self.namespace) is not None:
            yield DeleteObject("services", NAME, self.namespace)


def find_ui(cluster: Cluster, namespace: str) -> Object:
    """The Service that the chart made for the user interface.

    Raises:
        WillNot: there is none.
        ClusterRefuses: the cluster does not answer.
    """
    for service in cluster.list("services", namespace):
        if _UI in service.name and service.name != NAME:
            return service
    raise WillNot(f"the namespace {namespace} has no Service of {_UI}: is k0rdent installed, with its user interface?")


def exposing(service: Object, port: int | None) -> Manifest:
    """A Service of our own that leads to the same pods from outside."""
    ports = [_port(each, port if number == 0 else None) for number, each in enumerate(service.several("spec", "ports"))]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": service.namespace, "labels": _OURS},
        "spec": {"type": "NodePort", "selector": service.section("spec", "selector"), "ports": ports},
    }


def addresses(cluster: Cluster, namespace: str) -> list[str]:
    """Where the user interface answers, on each node.

    Raises:
        ClusterRefuses: the cluster does not answer, or has not given it a port.
    """
    service = cluster.find("services", NAME, namespace)
    port = service.several("spec", "ports")[0].text("nodePort") if service else ""
    if not port:
        raise ClusterRefuses(f"the Service {namespace}/{NAME} has no port yet: run the same command again")
    return [f"http://{_bracketed(address)}:{port}/" for address in _nodes(cluster)]


def _nodes(cluster: Cluster) -> Iterator[str]:
    for node in cluster.list("nodes"):
        for each in node.several("status", "addresses"):
            if each.text("type") == _READY:
                yield each.text("address")


def _port(said: Object, outside: int | None) -> dict[str, object]:
    kept = {key: value for key in ("name", "port", "protocol", "targetPort") if (value := said.part(key)) is not None}
    return kept if outside is None else {**kept, "nodePort": outside}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
