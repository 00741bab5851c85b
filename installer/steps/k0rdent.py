"""k0rdent on a cluster: installed by k0s, looked after by itself, and brought to another release."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from installer.changes import Change, Condition, Wait
from installer.errors import KindUnknown, WillNot
from installer.host import Host
from installer.k0s import Status
from installer.kube import Cluster, Manifest, Object
from installer.objects import PatchObject, ensure_object
from installer.waiting import (
    MANAGEMENT,
    MANAGEMENTS,
    RELEASES,
    ChartInstalled,
    ManagementReady,
    NodeReady,
    ReleaseReady,
    TemplatesValid,
)

CHART = "kcm"
_NODE_PATIENCE, _TEMPLATES_PATIENCE = 900.0, 1800.0
_COMPONENTS_PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class K0rdentRuns:
    """The node takes pods, k0s has installed the chart, and every component and template of k0rdent is well."""

    version: str
    namespace: str
    patience: float
    """Seconds for the chart: pulling its images takes what it takes."""
    title: str = "k0rdent"

    def changes(self, host: Host) -> Iterator[Change]:
        yield from still(host, NodeReady(), _NODE_PATIENCE)
        yield from still(host, ChartInstalled(CHART, self.version), self.patience)
        yield from still(host, ManagementReady(), _COMPONENTS_PATIENCE)
        yield from still(host, TemplatesValid(self.namespace), _TEMPLATES_PATIENCE)


@dataclass(frozen=True, slots=True)
class K0rdentRelease:
    """k0rdent runs with a release: its Release object is there, and the Management names it and is well.

    The chart in k0s.yaml stays as it is: once installed, k0rdent renews itself, and k0s would undo that.
    """

    release: Manifest = field(repr=False)
    namespace: str
    title: str = "release of k0rdent"

    @property
    def name(self) -> str:
        return Object(self.release).name

    def changes(self, host: Host) -> Iterator[Change]:
        cluster = Cluster(host)
        yield from ensure_object(host, self.release)
        yield from still(host, ReleaseReady(self.name), _TEMPLATES_PATIENCE)
        if _management(cluster).text("spec", "release") != self.name:
            patch = {"spec": {"release": self.name}}
            yield PatchObject(MANAGEMENTS, MANAGEMENT, patch, f"k0rdent goes to release {self.name}")
        yield from still(host, ManagementReady(self.name), _COMPONENTS_PATIENCE)
        yield from still(host, TemplatesValid(self.namespace), _TEMPLATES_PATIENCE)


def running_release(host: Host) -> Object | None:
    """The Release that k0rdent on the cluster of this host is to run; None where that is gone.

    Raises:
        WillNot: there is none, or this is not a controller that could tell.
    """
    status = Status.of(host)
    if status is None or status.role != "controller":
        raise WillNot("no cluster answers here: run this on a controller on which k0s runs")
    cluster = Cluster(host)
    name = _management(cluster).text("spec", "release")
    return cluster.find(RELEASES, name)


def still(host: Host, condition: Condition, patience: float) -> Iterator[Change]:
    """Wait, if there is something to wait for."""
    if condition.lacking(host) is not None:
        yield Wait(condition, patience)


def _management(cluster: Cluster) -> Object:
    try:
        found = cluster.find(MANAGEMENTS, MANAGEMENT)
    except KindUnknown:
        found = None
    if found is None:
        raise WillNot("k0rdent is not installed on this cluster: 'k0rdentd install' does that, and goes on with it")
    return found
