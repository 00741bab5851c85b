"""From one version to the next: of k0s on this host, and of k0rdent on its cluster."""

import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import yaml

from installer import outline
from installer.changes import Change, Run
from installer.chart import Chart
from installer.errors import SourceUnusable, WillNot
from installer.host import Host
from installer.kube import Manifest, Object
from installer.paths import CONTAINERD_DROPIN, K0S
from installer.plan import Step
from installer.preflight.completeness import require_system_images
from installer.remote import Remote
from installer.settings import Settings
from installer.settings_types import K0sVersion
from installer.site import ControllerSite, Wishes, chart_repository, find_registry, survey
from installer.started import Started, is_in_cluster
from installer.steps.k0rdent import K0rdentRelease, running_release, still
from installer.versions import chart_order, newest_chart
from installer.waiting import NodeReady

TEMPLATES = "charts/kcm-templates"
_LARGEST = 4 << 20
_PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class InOrder:
    """The changes of an installation, so that no k0s meets what only another version can read.

    The executable is fetched and asked about the configuration while the old k0s still runs: whatever is wrong with
    either has then cost nobody anything.
    """

    steps: Sequence[Step]
    title: str = "k0s of another version"

    def changes(self, host: Host) -> Iterator[Change]:
        planned = [change for step in self.steps for change in step.changes(host)]
        stop = next((place for place, change in enumerate(planned) if _stops_k0s(change)), -1)
        before, behind = planned[: stop + 1], planned[stop + 1 :]
        late = [change for change in before if _is_for_containerd(change)]
        yield from (change for change in before if change not in late)
        yield from late
        yield from behind


@dataclass(frozen=True, slots=True)
class NodeRuns:
    """The node of this controller is Ready with this k0s, and not still with the one before."""

    version: K0sVersion
    title: str = "node"

    def changes(self, host: Host) -> Iterator[Change]:
        yield from still(host, NodeReady(self.version), _PATIENCE)


def k0s_steps(host: Host, settings: Settings, wishes: Wishes, *, any_images: bool = False) -> Sequence[Step]:
    """What there is to do for another k0s on this host; with `any_images` it may lack some of its own.

    Raises:
        WillNot: k0s is not of our making, goes back, skips a minor version, or would not find all of its images.
        SourceUnusable: the registry does not have it.
    """
    started = Started.of(host)
    if started is None or not is_in_cluster(host):
        raise WillNot("k0rdentd has not installed k0s here, or was interrupted: 'k0rdentd install' goes on with it")
    site = survey(host, settings, replace(wishes, replace_k0s=True, online=started.is_online))
    if site.registry is not None and not any_images:
        require_system_images(host, site.registry, site.k0s)
    # Where it joined, the token counts no more; it may be gone.
    steps = outline.node(site, None if settings.join is None else "")
    return [InOrder(steps), *([NodeRuns(site.k0s.version)] if isinstance(site, ControllerSite) else ())]


def k0rdent_steps(host: Host, settings: Settings, wishes: Wishes) -> Sequence[Step]:
    """What there is to do for another k0rdent on the cluster of this host.

    Raises:
        WillNot: k0rdent is not installed, or would go back.
        SourceUnusable: the registry does not have it.
    """
    running = running_release(host)
    runs = "" if running is None else running.text("spec", "version")
    registry = _registry(host, settings)
    asked = wishes.k0rdent_version
    version = str(asked) if asked else newest_chart(registry, chart_repository(settings))
    if runs and chart_order(version) < chart_order(runs):
        raise WillNot(f"k0rdent {runs} runs here, and does not go back to {version}")
    # The one that runs is there already; the bundle that it came with need not be.
    release: Manifest
    if running is not None and runs == version:
        release = {"apiVersion": running.text("apiVersion"), "kind": "Release", "metadata": {"name": running.name}}
    else:
        release = release_in(Chart.fetch(registry, TEMPLATES, version))
    return [K0rdentRelease(release, settings.k0rdent.helm.namespace)]


def release_in(chart: Chart) -> Manifest:
    """The Release object that a chart of templates brings.

    Raises:
        SourceUnusable: it brings none.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(chart.archive), mode="r:gz") as files:
            for member in files:
                if member.isreg() and member.name.endswith("release.yaml") and member.size < _LARGEST:
                    file = files.extractfile(member)
                    found = yaml.safe_load(file.read() if file else b"")
                    if isinstance(found, dict) and found.get("kind") == "Release" and Object(found).name:
                        return found
    except (tarfile.TarError, zlib.error, OSError, EOFError, yaml.YAMLError) as error:
        raise SourceUnusable(f"the chart {chart.name} {chart.version} cannot be read: {error}") from error
    raise SourceUnusable(f"the chart {chart.name} {chart.version} holds no Release object: is the bundle complete?")


def _registry(host: Host, settings: Settings) -> Remote:
    started = Started.of(host)
    if started is not None and started.is_online and settings.airgap.registry.address is None:
        raise WillNot(
            "k0rdent came from the internet here, and releases come out of a registry: "
            "load the new bundle into one, and name it with airgap.registry.address and caFile"
        )
    return find_registry(host, settings)


def _stops_k0s(change: Change) -> bool:
    return isinstance(change, Run) and change.argv == (str(K0S), "stop")


def _is_for_containerd(change: Change) -> bool:
    return any(each.path == CONTAINERD_DROPIN for each in change.replaces)
