"""What is to be installed, found out before anything is planned: from the settings, the registry and the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from installer.binary import REPOSITORY, DownloadedBinary, FileBinary, ImageBinary, K0sSource
from installer.chart import Chart
from installer.cluster_config import ChartPlace, check_lasting, cluster_config, installed_config, part
from installer.errors import SourceUnusable, WillNot
from installer.host import Host
from installer.journal import has_begun_k0s
from installer.paths import CHARTS, K0S_CONFIG, STARTED_WITH
from installer.remote import Remote, fingerprint, own_ca
from installer.settings import Settings
from installer.settings_types import ChartVersion, K0sVersion
from installer.started import check_node
from installer.steps.k0rdent import CHART
from installer.values import airgap_values
from installer.versions import K0sHere, check_replacement, choose, newest_chart
from registry.config import DEFAULT_PORT

_ONLINE = "this installs online, where no bundle says which"
_OR_AIRGAP = "or install from a bundle: --airgap, or airgap.bundlePath"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a command line says beyond the settings."""

    online: bool = False
    k0s_version: K0sVersion | None = None
    k0rdent_version: ChartVersion | None = None
    replace_k0s: bool = False
    k0s_binary: Path | None = None
    embedded: K0sSource | None = None
    """The k0s that this program brings along, used where it is of the version that is needed."""


@dataclass(frozen=True, slots=True)
class Site:
    """All that the steps of a node are made of."""

    settings: Settings
    address: str
    """This node's, by which others reach it."""
    k0s: K0sSource
    registry: Remote | None

    @property
    def ca(self) -> bytes | None:
        """The registry's."""
        return None if self.registry is None else self.registry.ca


@dataclass(frozen=True, slots=True)
class ControllerSite(Site):
    """What a controller has to know beside: of k0rdent, which workers never hear of."""

    chart: Chart | None
    k0s_config: bytes = field(repr=False)
    k0rdent_version: str


def survey(host: Host, settings: Settings, wishes: Wishes) -> Site:
    """Look at everything that this node needs, and change nothing; of a controller it is a `ControllerSite`.

    Raises:
        SourceUnusable: something cannot be had.
        WillNot: the host holds what must not be overwritten.
    """
    check_node(host, settings.join)
    address = node_address(host, settings)
    registry = None if wishes.online else find_registry(host, settings)
    here = K0sHere.of(host)
    k0s = find_k0s(host, settings, wishes, registry)
    check_replacement(here, k0s.version, allowed=wishes.replace_k0s, unfinished=has_begun_k0s(host))
    node = Site(settings, address, k0s, registry)
    is_worker = settings.join is not None and settings.join.mode == "worker"
    return node if is_worker else _controller(host, wishes, node)


def _controller(host: Host, wishes: Wishes, node: Site) -> ControllerSite:
    """All controllers of a cluster have the same chart: one that knew of none would take k0rdent away."""
    settings, registry = node.settings, node.registry
    version = _k0rdent_version(host, settings, wishes, registry)
    chart = None if registry is None else _chart(host, settings, registry, version)
    place = _place(settings, registry, chart, version)
    config = cluster_config(settings, node.address, registry.address if registry else None, place)
    check_lasting(host, config)
    return ControllerSite(settings, node.address, node.k0s, registry, chart, config, version)


def node_address(host: Host, settings: Settings) -> str:
    """The address of this node for the others.

    Raises:
        SourceUnusable: nobody knows.
    """
    address = settings.k0s.api.address or host.address()
    if address is None:
        raise SourceUnusable("this machine has no route to others, so its address is not known: set k0s.api.address")
    return str(address)


def find_registry(host: Host, settings: Settings) -> Remote:
    """The registry under the address by which all nodes reach it, after it has proven to be who it should be.

    Raises:
        SourceUnusable: it does not answer, or as somebody else.
    """
    said = settings.registry_address
    where = str(said) if said else _on_this_node(host, settings)
    remote = Remote(where, _ca(host, settings, said.host if said else None, int(where.rpartition(":")[2])))
    remote.ping()
    return remote


def _on_this_node(host: Host, settings: Settings) -> str:
    address = node_address(host, settings)
    return f"{f'[{address}]' if ':' in address else address}:{_own_port(settings)}"


def find_k0s(host: Host, settings: Settings, wishes: Wishes, registry: Remote | None) -> K0sSource:
    """The k0s that is to be installed.

    Raises:
        SourceUnusable: it cannot be had.
        WillNot: there is one that does not tell its version.
    """
    asked, embedded = wishes.k0s_version or settings.k0s.version, wishes.embedded
    preferred = K0sHere.of(host).version or (embedded.version if embedded else None)
    if registry is not None:
        asked = choose(registry.tags(REPOSITORY), asked, preferred, registry.address)
    asked = asked or preferred
    if asked is None:
        raise SourceUnusable(f"{_ONLINE} k0s is needed: set k0s.version, such as v1.32.8+k0s.0, {_OR_AIRGAP}")
    if wishes.k0s_binary is not None:
        return _file(host, wishes.k0s_binary, asked)
    if embedded is not None and embedded.version == asked:
        return embedded
    architecture = host.architecture()
    return DownloadedBinary(asked, architecture) if registry is None else ImageBinary(registry, asked, architecture)


def chart_repository(settings: Settings) -> str:
    """Where the registry has k0rdent's chart: bundles have all charts in one place."""
    return f"charts/{settings.k0rdent.helm.chart.rpartition('/')[2]}"


def _ca(host: Host, settings: Settings, said: str | None, port: int) -> bytes:
    file = settings.airgap.registry.ca_file
    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise SourceUnusable(f"cannot read {file}, which airgap.registry.caFile names: {error.strerror}") from error
        fingerprint(content)
        return content
    if said is not None and not host.is_own(said):
        raise SourceUnusable(f"the registry {said} is another machine: name its CA with airgap.registry.caFile")
    kept = (host.read(root / "pki/ca.crt") for root in settings.storage_roots)
    return own_ca(port, next((content for content in kept if content), None))


def _own_port(settings: Settings) -> int:
    """Where the registry of this machine listens."""
    said = settings.airgap.registry.address
    port = settings.registry.get("port")
    return said.port if said else port if isinstance(port, int) else DEFAULT_PORT


def _file(host: Host, path: Path, version: K0sVersion) -> FileBinary:
    """A file of the operator's, after a look at what it is."""
    file = path.absolute()
    text = host.call((str(file), "version")).strip()
    if text != version:
        raise SourceUnusable(f"{file} is k0s {text}, and {version} is needed: bring that one")
    return FileBinary(host.at(file), version)


def _k0rdent_version(host: Host, settings: Settings, wishes: Wishes, registry: Remote | None) -> str:
    """What is asked for, else what is there, else the newest that the registry has.

    Once k0rdent is there, it looks after itself, and another version in k0s.yaml would work against it.
    """
    asked = wishes.k0rdent_version or settings.k0rdent.version
    there = installed_chart(host)
    if there is not None:
        if asked is not None and asked != there:
            raise WillNot(f"k0rdent {there} is installed here: 'k0rdentd upgrade' brings it to {asked}")
        return there
    if asked is not None:
        return str(asked)
    if host.look(STARTED_WITH) is not None:
        raise WillNot(f"{K0S_CONFIG} no longer tells which k0rdent is installed: say it with --k0rdent-version")
    begun = _told_chart(host) if has_begun_k0s(host) else None
    if begun is not None:
        return begun
    if registry is None:
        raise SourceUnusable(f"{_ONLINE} k0rdent is meant: set k0rdent.version, such as 1.2.3, {_OR_AIRGAP}")
    return newest_chart(registry, chart_repository(settings))


def installed_chart(host: Host) -> str | None:
    """The version of k0rdent's chart that k0s has run with; None where it has not, or nothing tells it any more."""
    if host.look(STARTED_WITH) is None:
        return None
    kept = _kept_charts(host)
    return _told_chart(host) or (kept[0].version if len(kept) == 1 else None)


def _told_chart(host: Host) -> str | None:
    """The version of k0rdent's chart in k0s' own configuration."""
    charts = part(installed_config(host), "spec", "extensions", "helm", "charts")
    named = (each for each in charts if isinstance(each, dict)) if isinstance(charts, list) else ()
    return next((str(each.get("version")) for each in named if each.get("name") == CHART), None)


def _kept_charts(host: Host) -> list[Chart]:
    """Those that k0s was given as files."""
    files = [file for file in host.entries(CHARTS) if file.suffix == ".tgz"]
    return [Chart.parse(host.read(file) or b"", str(file)) for file in files]


def _chart(host: Host, settings: Settings, registry: Remote, version: str) -> Chart:
    """The registry's; once the bundle that it came with is gone from there, the one that k0s was given.

    Raises:
        SourceUnusable: there is none.
    """
    try:
        return Chart.fetch(registry, chart_repository(settings), version)
    except SourceUnusable:
        kept = [chart for chart in _kept_charts(host) if chart.version == version]
        if not kept:
            raise
        return kept[0]


def _place(settings: Settings, registry: Remote | None, chart: Chart | None, version: str) -> ChartPlace:
    if registry is None or chart is None:
        nothing: Mapping[str, object] = {}
        return ChartPlace(settings.k0rdent.helm.chart, version, nothing)
    values = airgap_values(registry.address, nested=chart.nested)
    return ChartPlace(str(CHARTS / chart.file_name), chart.version, values)
