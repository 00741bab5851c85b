"""Checks of a machine's network: pure functions of facts and settings."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from installer.preflight.facts import Facts
from installer.preflight.finding import Finding, fatal, warning
from installer.preflight.network import Listener
from installer.settings import Settings

_CONTROLLER_PORTS = {
    "k0s' join API": 9443,
    "konnectivity": 8132,
    "konnectivity's admin port": 8133,
    "the controller manager": 10257,
    "the scheduler": 10259,
}
_ETCD_PORTS = {"etcd": 2379, "etcd's peers": 2380}
_NODE_PORTS = {"the kubelet": 10250, "the kubelet's health": 10248, "kube-proxy": 10256}
# k0s' own processes, whose ports are no obstacle to going on with an installation.
_OURS = frozenset(
    {"k0s", "etcd", "kine", "kube-apiserver", "kube-controller", "kube-scheduler", "kubelet", "kube-proxy"}
)
_OUR_PREFIXES = ("kube-controller", "konnectivity", "kube-router")


def check_ports(facts: Facts, settings: Settings) -> Iterator[Finding]:
    taken = {listener.port: listener for listener in facts.listeners if not _is_ours(listener)}
    for use, port in _ports(settings).items():
        if port in taken:
            who = _owner(taken[port])
            yield fatal(
                "ports", f"port {port}, for {use}, is taken by {who}", f"stop {who}, or move it to another port"
            )


def _ports(settings: Settings) -> dict[str, int]:
    """Every port of this node, and what it is for."""
    join, access = settings.join, settings.airgap.registry
    if join is not None and join.mode == "worker":
        return _NODE_PORTS
    ports = {"the Kubernetes API": settings.k0s.api.port, **_CONTROLLER_PORTS, **_NODE_PORTS}
    if settings.k0s.storage.type == "etcd":
        ports |= _ETCD_PORTS
    if join is None and access.host is None:
        ports["the registry"] = access.port
    return ports


def _is_ours(listener: Listener) -> bool:
    registry = "k0rdentd" in listener.command or "installer.command" in listener.command
    return listener.process in _OURS or listener.process.startswith(_OUR_PREFIXES) or registry


def _owner(listener: Listener) -> str:
    return listener.process or "a process that only root can see"


def check_routes(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if any(route.is_default for route in facts.routes):
        return
    what = "there is no default route, by which k0s and the kubelet find the node's address"
    fix = "add one (ip route add default via GATEWAY); any gateway will do, even one that leads nowhere"
    if settings.k0s.api.address is None:
        yield fatal("route", what, f"{fix}, and set k0s.api.address")
    else:
        yield warning("route", what, fix)


def check_networks(facts: Facts, settings: Settings) -> Iterator[Finding]:
    """A cluster network that the site has too would make a part of the site unreachable."""
    if settings.join is not None:
        return
    network = settings.k0s.network
    for key, wanted in (("podCIDR", network.pod_cidr), ("serviceCIDR", network.service_cidr)):
        for route in facts.routes:
            if route.is_foreign and not route.is_default and _overlap(wanted, route.network):
                what = f"{wanted} would hide {route.network}, which {route.interface} leads to"
                yield fatal("networks", what, f"choose another k0s.network.{key}")


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def check_proxy(facts: Facts, settings: Settings) -> Iterator[Finding]:
    proxies = sorted(name for name in facts.proxies if name != "no_proxy")
    if not proxies:
        return
    passed = facts.proxies.get("no_proxy", "").split(",")
    network = settings.k0s.network
    address = settings.registry_address
    wanted = [str(network.pod_cidr), str(network.service_cidr), *([address.host] if address else [])]
    missing = [each for each in wanted if each not in passed and "*" not in passed]
    if missing:
        what = (
            f"{', '.join(proxies)} is set, and NO_PROXY lacks {', '.join(missing)}: Helm and pulls would ask the proxy"
        )
        yield warning("proxy", what, "unset it, or add them to NO_PROXY")
