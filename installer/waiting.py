"""What an installation waits for in the cluster: each says what is still lacking, component by component."""

from collections.abc import Sequence
from dataclasses import dataclass

from installer.errors import ClusterRefuses, KindUnknown
from installer.host import Host
from installer.k0s import Status
from installer.kube import Cluster, Object

MANAGEMENTS = "managements.k0rdent.mirantis.com"
RELEASES = "releases.k0rdent.mirantis.com"
TEMPLATES = "providertemplates.k0rdent.mirantis.com,clustertemplates.k0rdent.mirantis.com"
CREDENTIALS = "credentials.k0rdent.mirantis.com"
MANAGEMENT = "kcm"
_CHARTS = "charts.helm.k0sproject.io"
_CHART_NAMESPACE = "kube-system"
_TOLD = 4  # troubles in one sentence
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class NodeReady:
    """The API server takes requests, and the node of this host takes pods, with the kubelet of `version` if given."""

    version: str = ""

    def describe(self) -> str:
        return f"the node is Ready{f' with {self.version}' if self.version else ''}"

    def lacking(self, host: Host) -> str | None:
        status = Status.of(host)
        if status is None:
            return "k0s does not answer yet; 'journalctl -u k0scontroller' tells what it does"
        if status.trouble:
            return f"the kubelet is not connected: {status.trouble}"
        cluster = Cluster(host)
        unready = cluster.unready()
        return f"the API server is not ready: {unready}" if unready else self._node(cluster, host.name())

    def _node(self, cluster: Cluster, name: str) -> str | None:
        try:
            node = cluster.find("nodes", name)
        except ClusterRefuses as error:
            return str(error)
        if node is None:
            return f"the cluster has no node {name} yet"
        runs = node.text("status", "nodeInfo", "kubeletVersion")
        if self.version and _number(runs) != _number(self.version):
            return f"the kubelet of node {name} is still {runs}"
        ready = node.condition("Ready")
        if ready is None or not ready.holds:
            return f"node {name} is not Ready: {_line(ready.message) if ready else 'it has not said so yet'}"
        return None


@dataclass(frozen=True, slots=True)
class ChartInstalled:
    """k0s has installed a chart of its configuration in this version."""

    name: str
    version: str

    def describe(self) -> str:
        return f"k0s has installed the chart {self.name} {self.version}"

    def lacking(self, host: Host) -> str | None:
        try:
            chart = Cluster(host).find(_CHARTS, f"k0s-addon-chart-{self.name}", _CHART_NAMESPACE)
        except ClusterRefuses as error:
            return str(error)
        if chart is None:
            return f"k0s has not taken up the chart {self.name} yet"
        trouble = chart.text("status", "error")
        if trouble:
            return f"k0s cannot install the chart {self.name}, and tries again: {_line(trouble)}"
        installed = chart.text("status", "version")
        if installed != self.version:
            return f"the chart {self.name} is {f'still {installed}' if installed else 'being installed'}"
        return None


@dataclass(frozen=True, slots=True)
class ReleaseReady:
    """k0rdent has all templates of a release."""

    name: str

    def describe(self) -> str:
        return f"the templates of the release {self.name} are there"

    def lacking(self, host: Host) -> str | None:
        try:
            release = Cluster(host).find(RELEASES, self.name)
        except ClusterRefuses as error:
            return str(error)
        if release is None:
            return f"there is no Release {self.name}"
        if release.part("status", "ready") is True:
            return None
        return (
            f"Release {self.name} is not ready: {_line(release.text('status', 'error')) or 'its templates are coming'}"
        )


@dataclass(frozen=True, slots=True)
class ManagementReady:
    """k0rdent runs with every component of its release."""

    release: str = ""
    """The release; any, if empty."""

    def describe(self) -> str:
        return f"k0rdent is ready{f' with release {self.release}' if self.release else ''}"

    def lacking(self, host: Host) -> str | None:
        try:
            found = Cluster(host).find(MANAGEMENTS, MANAGEMENT)
        except KindUnknown:
            return "k0rdent has not defined its kinds yet"
        except ClusterRefuses as error:
            return str(error)
        if found is None:
            return f"k0rdent has not made its Management {MANAGEMENT} yet"
        return self._of(found)

    def _of(self, management: Object) -> str | None:
        wanted = management.text("spec", "release")
        if self.release and wanted != self.release:
            return f"Management {MANAGEMENT} asks for release {wanted}"
        ready = management.condition("Ready")
        if ready and ready.holds and management.text("status", "release") == wanted:
            return None
        return _components(management) or f"Management is not Ready: {_line(ready.message) if ready else 'just begun'}"


@dataclass(frozen=True, slots=True)
class TemplatesValid:
    """k0rdent has fetched every template of its own, for providers and for clusters, and takes it."""

    namespace: str

    def describe(self) -> str:
        return "k0rdent's templates are valid"

    def lacking(self, host: Host) -> str | None:
        try:
            found = Cluster(host).list(TEMPLATES)
        except KindUnknown:
            return "k0rdent has not defined its kinds yet"
        except ClusterRefuses as error:
            return str(error)
        own = [each for each in found if each.namespace in ("", self.namespace)]
        waiting = [each for each in own if each.part("status", "valid") is not True]
        if not waiting:
            return None
        troubles = [f"{each.text('kind')} {each.name}: {_trouble_of_template(each)}" for each in waiting]
        return f"{len(own) - len(waiting)} of {len(own)} templates are valid; {_some(troubles)}"


@dataclass(frozen=True, slots=True)
class CredentialReady:
    """k0rdent takes a credential."""

    name: str
    namespace: str

    def describe(self) -> str:
        return f"the Credential {self.name} is ready"

    def lacking(self, host: Host) -> str | None:
        try:
            credential = Cluster(host).find(CREDENTIALS, self.name, self.namespace)
        except ClusterRefuses as error:
            return str(error)
        if credential is None:
            return f"there is no Credential {self.name}"
        if credential.part("status", "ready") is True:
            return None
        told = credential.condition("CredentialReady")
        return f"Credential {self.name} is not ready: {_line(told.message) if told else 'k0rdent has not seen it yet'}"


def _components(management: Object) -> str | None:
    """How many components there are, and what the others say; None if none is known, or all are well."""
    components = {name: management.section("status", "components", name) for name in sorted(_names(management))}
    waiting = [name for name, each in components.items() if each.get("success") is not True]
    if not waiting:
        return None
    troubles = [f"{name}: {_line(str(components[name].get('error') or 'not ready yet'))}" for name in waiting]
    return f"{len(components) - len(waiting)} of {len(components)} components are ready; {_some(troubles)}"


def _trouble_of_template(template: Object) -> str:
    return _line(template.text("status", "validationError")) or "its chart is not fetched yet"


def _some(troubles: Sequence[str]) -> str:
    """As many as one reads in a sentence."""
    more = f"; and {len(troubles) - _TOLD} more" if len(troubles) > _TOLD else ""
    return f"{'; '.join(troubles[:_TOLD])}{more}"


def _number(version: str) -> str:
    """A kubelet of k0s v1.32.8+k0s.0 calls itself v1.32.8+k0s."""
    return version.partition("+")[0]


def _line(text: str) -> str:
    """Errors of Helm go over many lines, with a template in them."""
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


def _names(management: Object) -> list[str]:
    return [*management.section("status", "components")]
