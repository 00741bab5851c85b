"""What of an installation is there and works: each part of it in one line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version as distribution_version

from installer.errors import InstallFailed
from installer.host import Host
from installer.k0s import Status, installed_role, installed_version, is_running
from installer.kube import Cluster
from installer.paths import CONTAINERD_DROPIN, REGISTRY_CA
from installer.settings import Settings
from installer.site import chart_repository, find_registry
from installer.started import Started
from installer.steps.k0rdent import CHART
from installer.waiting import ChartInstalled, CredentialReady, ManagementReady, NodeReady, TemplatesValid

TRUSTED = (REGISTRY_CA, CONTAINERD_DROPIN)
"""Without these, no image comes from the registry."""


class State(StrEnum):
    """`absent` is not there, and need not be; `trouble` is there, and does not work; `unknown` was not looked at."""

    OK = "ok"
    ABSENT = "absent"
    TROUBLE = "trouble"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Aspect:
    """A part of the installation, how it is, and what to do if it is not well."""

    part: str
    state: State
    what: str
    fix: str = ""


def status(host: Host, settings: Settings) -> Iterator[Aspect]:
    """Every part, from the ground up; whatever a look at one of them meets is told, and the next one is looked at."""
    for part, look in _PARTS.items():
        try:
            if part in _OF_CLUSTER and installed_role(host) == "controller" and Status.of(host) is None:
                # Each question would end in the same noise of kubectl.
                what = f"k0s does not answer, so not looked at: {', '.join(_OF_CLUSTER)}"
                yield Aspect("cluster", State.UNKNOWN, what)
                return
            for each in look(host, settings):
                yield replace(each, what=_line(each.what))
        except InstallFailed as error:
            yield Aspect(part, State.TROUBLE, _line(str(error)), _FIXES[part])


def _program(host: Host, settings: Settings) -> Iterator[Aspect]:
    yield Aspect("k0rdentd", State.OK, f"version {distribution_version('k0rdentd')}")


def _registry(host: Host, settings: Settings) -> Iterator[Aspect]:
    started = Started.of(host)
    if started is not None and started.is_online:
        yield Aspect("registry", State.OK, "not used: this node was installed from the internet")
        return
    if started is not None and started.has_joined and settings.registry_address is None:
        what = "not looked at: the configuration by which this node joined names it (-c FILE)"
        yield Aspect("registry", State.UNKNOWN, what)
        return
    remote = find_registry(host, settings)
    charts = remote.tags(chart_repository(settings))
    held = f"{len(remote.repositories())} repositories, k0rdent {', '.join(sorted(charts)) or 'missing'}"
    if charts:
        yield Aspect("registry", State.OK, f"{remote.address} serves {held}")
    else:
        yield Aspect("registry", State.TROUBLE, f"{remote.address} serves {held}", "load the vendor's bundle")


def _trust(host: Host, settings: Settings) -> Iterator[Aspect]:
    started = Started.of(host)
    if installed_role(host) is None or (started is not None and started.is_online):
        return
    for path in TRUSTED:
        if host.look(path) is None:
            yield Aspect("trust", State.TROUBLE, f"there is no {path}: pods' images cannot be pulled", _AGAIN)


def _k0s(host: Host, settings: Settings) -> Iterator[Aspect]:
    version, role = installed_version(host), installed_role(host)
    running = Status.of(host)
    if running is not None and running.trouble:
        yield Aspect("k0s", State.TROUBLE, f"{running.version}, {running.role}: {running.trouble}", _FIXES["k0s"])
    elif running is not None:
        yield Aspect("k0s", State.OK, f"{running.version} runs as {running.role}")
    elif role is not None:
        how = "starts, and does not answer" if is_running(host) else "does not run"
        yield Aspect("k0s", State.TROUBLE, f"{version or 'without executable'}, {role}: it {how}", _FIXES["k0s"])
    elif Started.of(host) is not None:
        what = f"{version or 'without executable'}: its service is gone since the installation"
        yield Aspect("k0s", State.TROUBLE, what, _AGAIN)
    else:
        yield Aspect("k0s", State.ABSENT, f"{version} is here, and no service" if version else "not installed")


def _node(host: Host, settings: Settings) -> Iterator[Aspect]:
    if installed_role(host) == "controller":
        lacking = NodeReady().lacking(host)
        yield Aspect(
            "node", State.TROUBLE if lacking else State.OK, lacking or f"{host.name()} is Ready", _fix("node", lacking)
        )


def _k0rdent(host: Host, settings: Settings) -> Iterator[Aspect]:
    if installed_role(host) == "controller":
        lacking = _k0rdent_lacks(host) or TemplatesValid(settings.k0rdent.helm.namespace).lacking(host)
        yield Aspect("k0rdent", State.TROUBLE if lacking else State.OK, lacking or "ready", _fix("k0rdent", lacking))


def _k0rdent_lacks(host: Host) -> str | None:
    """While k0s has not installed the chart, that is what holds k0rdent up."""
    lacking = ManagementReady().lacking(host)
    if lacking is None:
        return None
    chart = Cluster(host).find("charts.helm.k0sproject.io", f"k0s-addon-chart-{CHART}", "kube-system")
    return (chart and ChartInstalled(CHART, chart.text("spec", "version")).lacking(host)) or lacking


def _credentials(host: Host, settings: Settings) -> Iterator[Aspect]:
    for each in settings.k0rdent.credentials.all if installed_role(host) == "controller" else ():
        lacking = CredentialReady(each.name, settings.k0rdent.helm.namespace).lacking(host)
        what = lacking or f"{each.name} is ready"
        yield Aspect("credentials", State.TROUBLE if lacking else State.OK, what, _fix("credentials", lacking))


def _line(words: str) -> str:
    """On one line, and not longer than anybody reads."""
    line = " ".join(words.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _fix(part: str, lacking: str | None) -> str:
    return _FIXES[part] if lacking else ""


_PARTS: dict[str, Callable[[Host, Settings], Iterator[Aspect]]] = {
    "k0rdentd": _program,
    "registry": _registry,
    "k0s": _k0s,
    "trust": _trust,
    "node": _node,
    "k0rdent": _k0rdent,
    "credentials": _credentials,
}
_OF_CLUSTER = ("node", "k0rdent", "credentials")  # the last of the parts
_LONGEST = 400
_AGAIN = "'k0rdentd install' puts it right"
_FIXES = {
    "registry": "'systemctl status k0rdentd-registry' and 'journalctl -u k0rdentd-registry' tell more",
    "k0s": "'journalctl -u k0scontroller' (or k0sworker) tells more; 'k0rdentd install' starts it",
    "trust": _AGAIN,
    "node": "'k0s kubectl get pods -A' tells which pod holds it up",
    "k0rdent": "wait while images are pulled; 'k0rdentd doctor' tells which the registry lacks",
    "credentials": "'k0rdentd install' makes them again, once k0rdent is ready",
}
