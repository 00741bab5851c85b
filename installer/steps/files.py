"""Steps that have a file be what it should be."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from installer.binary import K0sSource
from installer.changes import Change, PlaceFile, SetMode, ensure_file
from installer.chart import Chart
from installer.host import Host
from installer.k0s import installed_version
from installer.paths import CHARTS, K0S, K0S_CONFIG, K0S_MANIFESTS
from installer.values import CA_SECRET

_PROGRAM = 0o755
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class K0sBinary:
    """The k0s executable is of the version that the images are of."""

    source: K0sSource
    title: str = "k0s executable"

    def changes(self, host: Host) -> Iterator[Change]:
        entry = host.look(K0S)
        if installed_version(host) != self.source.version:
            yield PlaceFile(K0S, self.source, _PROGRAM)
        elif entry is not None and entry.kind == "file" and entry.mode != _PROGRAM:
            yield SetMode(K0S, _PROGRAM)


@dataclass(frozen=True, slots=True)
class RegistrySecret:
    """k0s gives k0rdent's components the registry's CA before they need it."""

    ca: bytes
    namespace: str
    title: str = "the registry's CA for k0rdent"

    def changes(self, host: Host) -> Iterator[Change]:
        objects = (
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}},
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": CA_SECRET, "namespace": self.namespace},
                "type": "Opaque",
                "stringData": {"ca.crt": self.ca.decode()},
            },
        )
        text = yaml.safe_dump_all(objects, sort_keys=False)
        yield from ensure_file(host, K0S_MANIFESTS / "registry-ca.yaml", text.encode())


@dataclass(frozen=True, slots=True)
class ChartFile:
    """k0s installs the chart from a file, which works with every version of its Helm."""

    chart: Chart
    title: str = "chart of k0rdent"

    def changes(self, host: Host) -> Iterator[Change]:
        yield from ensure_file(host, CHARTS / self.chart.file_name, self.chart.archive)


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """The configuration of k0s; it may hold a password of the operator's, so it is root's alone."""

    content: bytes = field(repr=False)
    title: str = "configuration of k0s"

    def changes(self, host: Host) -> Iterator[Change]:
        yield from ensure_file(host, K0S_CONFIG, self.content, _PRIVATE)
