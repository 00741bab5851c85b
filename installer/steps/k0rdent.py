"""k0rdent runs: k0s has installed its chart, and it has everything that it manages clusters with."""

from collections.abc import Iterator
from dataclasses import dataclass

from installer.changes import Change, Wait
from installer.cluster_config import CHART_NAME
from installer.host import Host
from installer.waiting import ChartInstalled, ManagementReady

_MANAGEMENT_PATIENCE = 3600.0
_MARGIN = 900.0  # k0s begins anew after a failure, and that takes a while


@dataclass(frozen=True, slots=True)
class K0rdentReady:
    """The chart is installed in this version, and the Management that it makes is ready."""

    version: str
    chart_patience: float
    title: str = "k0rdent"

    def changes(self, host: Host) -> Iterator[Change]:
        waits = (
            (ChartInstalled(CHART_NAME, self.version), self.chart_patience + _MARGIN),
            (ManagementReady(), _MANAGEMENT_PATIENCE),
        )
        for condition, patience in waits:
            if condition.lacking(host) is not None:
                yield Wait(condition, patience)
