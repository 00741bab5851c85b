"""k0s.yaml: what k0s is told of the cluster, and of k0rdent's chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from installer.errors import WillNot
from installer.host import Host
from installer.paths import K0S_CONFIG
from installer.settings import Settings
from installer.settings_types import format_duration
from installer.started import is_in_cluster
from installer.steps.k0rdent import CHART
from installer.values import merged

# As the settings call it, and where k0s is told of it.
_LASTING: Mapping[str, Sequence[str]] = {
    **{
        f"k0s.network.{key}": ("spec", "network", key)
        for key in ("provider", "podCIDR", "serviceCIDR", "clusterDomain")
    },
    "k0s.storage.type": ("spec", "storage", "type"),
    "k0rdent.helm.namespace": ("spec", "extensions", "helm", "charts", "namespace"),
}


@dataclass(frozen=True, slots=True)
class ChartPlace:
    """Where k0s finds k0rdent's chart: a file, or a reference, and exactly which version."""

    location: str
    version: str
    values: Mapping[str, object]


def cluster_config(settings: Settings, address: str, registry: str | None, chart: ChartPlace) -> bytes:
    """The file for a controller at `address`; all controllers of a cluster say the same of everything else."""
    spec: dict[str, object] = {
        "api": _api(settings, address),
        "network": _network(settings),
        "storage": _storage(settings, address),
        "telemetry": {"enabled": False},
        "extensions": {"helm": {"charts": [_chart(settings, chart)]}},
    }
    if registry is not None:
        policy = settings.airgap.images.pull_policy
        spec["images"] = {"repository": registry, "default_pull_policy": policy}
    document = {
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": spec,
    }
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000)
    return f"# Written by k0rdentd from its own configuration; the next installation writes it anew.\n{text}".encode()


def installed_config(host: Host) -> object:
    """What k0s on this host was told last; None where that cannot be read."""
    try:
        return yaml.safe_load(host.read(K0S_CONFIG) or b"")
    except yaml.YAMLError:
        return None


def part(document: object, *keys: str) -> object:
    """What stands at a place of a document; None where nothing does."""
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def check_lasting(host: Host, config: bytes) -> None:
    """Know that a cluster keeps what nobody can change of it once it is there.

    Raises:
        WillNot: it would not; tells each setting, as it is and as it would be.
    """
    now, wanted = installed_config(host), yaml.safe_load(config)
    if not is_in_cluster(host) or not isinstance(now, Mapping):
        return
    told = [
        f"{name} is {before} and would be {after}"
        for name, place in _LASTING.items()
        if (before := _at(now, place)) != (after := _at(wanted, place)) and before is not None
    ]
    if told:
        raise WillNot(
            f"of a cluster that is there this cannot be changed: {'; '.join(told)}: "
            "say it as it was, or 'k0rdentd uninstall' and install anew"
        )


def _at(document: object, place: Sequence[str]) -> object:
    """What stands at a place, where lists are those of charts, of which k0rdent's counts."""
    for key in place:
        if isinstance(document, list):
            document = next((each for each in document if part(each, "name") == CHART), None)
        document = part(document, key)
    return document


def _api(settings: Settings, address: str) -> dict[str, object]:
    api = settings.k0s.api
    section: dict[str, object] = {"address": address, "port": api.port}
    if api.external_address is not None:
        section["externalAddress"] = str(api.external_address)
    if api.sans:
        section["sans"] = [str(name) for name in api.sans]
    return section


def _network(settings: Settings) -> dict[str, object]:
    network = settings.k0s.network
    return {
        "provider": network.provider,
        "podCIDR": str(network.pod_cidr),
        "serviceCIDR": str(network.service_cidr),
        "clusterDomain": str(network.cluster_domain),
    }


def _storage(settings: Settings, address: str) -> dict[str, object]:
    storage = settings.k0s.storage
    if storage.type == "kine":
        source = storage.kine.data_source
        return {"type": "kine"} | ({"kine": {"dataSource": source.get_secret_value()}} if source else {})
    return {"type": "etcd", "etcd": {"peerAddress": str(storage.etcd.peer_address or address)}}


def _chart(settings: Settings, chart: ChartPlace) -> dict[str, object]:
    helm = settings.k0rdent.helm
    values = merged(chart.values, helm.values)
    shown = {"values": _Block(yaml.safe_dump(values, sort_keys=False))} if values else {}
    return {
        "name": CHART,
        "chartname": chart.location,
        "version": chart.version,
        "namespace": helm.namespace,
        # k0s' own is ten minutes, and then it removes what is still pulling images.
        "timeout": format_duration(helm.timeout),
        **shown,
    }


class _Block(str):
    """Text that is written line by line: the values are YAML within YAML."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes blocks as blocks."""


def _represent_block(dumper: yaml.SafeDumper, text: _Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Block, _represent_block)
