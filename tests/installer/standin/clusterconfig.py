"""What k0s demands of its k0s.yaml: known keys alone, an address that can be reached, networks of one family."""

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from tests.installer.standin.place import Place
from tests.installer.standin.units import Refused

_IMAGE = {"image", "version"}
# Known keys by place; None: k0s looks no further here, or neither do we.
_KEYS: Mapping[str, set[str] | None] = {
    "": {"apiVersion", "kind", "metadata", "spec", "status"},
    "spec": {
        "api",
        "controllerManager",
        "extensions",
        "featureGates",
        "images",
        "installConfig",
        "konnectivity",
        "network",
        "scheduler",
        "storage",
        "telemetry",
        "workerProfiles",
    },
    "spec.api": {
        "address",
        "ca",
        "externalAddress",
        "extraArgs",
        "k0sApiPort",
        "onlyBindToAddress",
        "port",
        "rawArgs",
        "sans",
    },
    "spec.network": {
        "calico",
        "clusterDomain",
        "controlPlaneLoadBalancing",
        "coreDNS",
        "dualStack",
        "kubeProxy",
        "kuberouter",
        "nodeLocalLoadBalancing",
        "podCIDR",
        "primaryAddressFamily",
        "provider",
        "serviceCIDR",
    },
    "spec.storage": {"type", "etcd", "kine"},
    "spec.storage.etcd": {"ca", "externalCluster", "extraArgs", "peerAddress", "rawArgs"},
    "spec.storage.kine": {"dataSource"},
    "spec.telemetry": {"enabled"},
    "spec.images": {
        "calico",
        "coredns",
        "default_pull_policy",
        "konnectivity",
        "kubeproxy",
        "kuberouter",
        "metricsserver",
        "pause",
        "pushgateway",
        "repository",
        "windows",
    },
    "spec.images.pause": _IMAGE,
    "spec.images.coredns": _IMAGE,
    "spec.extensions": {"helm", "storage"},
    "spec.extensions.helm": {"charts", "concurrencyLevel", "repositories"},
    "spec.extensions.helm.charts": {
        "chartname",
        "forceUpgrade",
        "name",
        "namespace",
        "order",
        "timeout",
        "values",
        "version",
    },
    "spec.extensions.helm.repositories": {
        "caFile",
        "certFile",
        "insecure",
        "keyfile",
        "name",
        "password",
        "url",
        "username",
    },
}


def read_config(place: Place, path: Path | None) -> Mapping[str, object]:
    """The configuration that k0s would run with."""
    chosen = place.at(path) if path else place.root / "etc/k0s/k0s.yaml"
    if path is None and not chosen.exists():
        return {"spec": {}}
    try:
        document = yaml.safe_load(chosen.read_text()) or {}
    except OSError as error:
        raise Refused(f"Error: failed to load config: open {path}: {str(error.strerror).lower()}") from error
    except yaml.YAMLError as error:
        raise Refused(f"Error: failed to load config: {error}") from error
    problems = [*_unknown(document, ""), *_wrong(document)]
    if problems:
        raise Refused("Error: invalid node config: " + "; ".join(problems))
    return dict(document)


def section(document: object, *path: str) -> dict[str, object]:
    """A part of it, empty if it is not there."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def charts(document: object) -> list[dict[str, object]]:
    found = section(document, "spec", "extensions", "helm").get("charts") or []
    return [chart for chart in found if isinstance(chart, dict)] if isinstance(found, list) else []


def _unknown(value: object, place: str) -> Iterator[str]:
    known = _KEYS.get(place)
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each, place)
    if known is None or not isinstance(value, dict):
        return
    for key, below in value.items():
        if key not in known:
            yield f'json: unknown field "{key}"'
        yield from _unknown(below, f"{place}.{key}".lstrip("."))


def _wrong(document: object) -> Iterator[str]:
    address = section(document, "spec", "api").get("address")
    if address is not None:
        yield from _wrong_address(str(address))
    policy = section(document, "spec", "images").get("default_pull_policy", "IfNotPresent")
    if policy not in ("Always", "IfNotPresent", "Never"):
        yield f'spec: images: default_pull_policy: Unsupported value: "{policy}"'
    network = section(document, "spec", "network")
    provider = network.get("provider", "kuberouter")
    if provider not in ("kuberouter", "calico", "custom"):
        yield f'spec: network: provider: Unsupported value: "{provider}"'
    ranges = [str(network.get("podCIDR", "10.244.0.0/16")), str(network.get("serviceCIDR", "10.96.0.0/12"))]
    yield from _wrong_ranges(ranges)
    for chart in charts(document):
        yield from _wrong_chart(chart)
    for each in section(document, "spec", "extensions", "helm").get("repositories") or []:  # type: ignore[attr-defined]
        if str(each.get("url", "")).removeprefix("oci://").count("/") and str(each["url"]).startswith("oci://"):
            yield f"extensions: helm: repositories: {each['name']}: an OCI url has no path"


def _wrong_address(address: str) -> Iterator[str]:
    try:
        if ipaddress.ip_address(address).is_unspecified:
            yield f'spec: api: address: Invalid value: "{address}": invalid INADDR_ANY'
    except ValueError:
        yield f'spec: api: address: Invalid value: "{address}": invalid IP address'


def _wrong_ranges(ranges: list[str]) -> Iterator[str]:
    try:
        families = {ipaddress.ip_network(each).version for each in ranges}
    except ValueError as error:
        yield f"spec: network: {error}"
        return
    if len(families) > 1:
        yield "spec: network: podCIDR and serviceCIDR must be both IPv4 or IPv6"


def _wrong_chart(chart: dict[str, object]) -> Iterator[str]:
    name = str(chart.get("name", ""))
    for key in ("name", "chartname", "namespace"):
        if not chart.get(key):
            yield f"extensions: helm: charts: chart {name!r} needs {key}"
    if len(name) > 53:
        yield f"extensions: helm: charts: the name {name} is longer than 53"
    if not isinstance(chart.get("values", ""), str):
        yield f"json: cannot unmarshal object into Go struct field Chart.values of type string (chart {name})"
    if not isinstance(chart.get("version", ""), str):
        yield f"json: cannot unmarshal number into Go struct field Chart.version of type string (chart {name})"
