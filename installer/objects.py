"""Changes to objects of the cluster, for plans."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from installer.changes import Change, Replaced
from installer.difference import difference
from installer.errors import ClusterBusy, ClusterRefuses, KindUnknown, WaitedInVain
from installer.host import Host
from installer.kube import Cluster, Manifest, Object, holds, title

_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Have an object as the manifest says; wait for its kind, and for an API server that is just starting."""

    manifest: Manifest = field(repr=False)
    patience: float = _PATIENCE

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return ()

    def describe(self) -> str:
        return f"apply {title(self.manifest)}"

    def difference(self, host: Host) -> Iterator[str]:
        if self.manifest["kind"] == "Secret":
            return iter(("(secret: not shown)",))
        live = find_known(Cluster(host), self.manifest)
        old = None if live is None else _as_text(_within(live.document, self.manifest))
        return difference(Path(title(self.manifest)), old, _as_text(self.manifest))

    def make(self, host: Host) -> Iterable[str]:
        deadline = host.now() + self.patience
        told = None
        while isinstance(live := self._applied(host, deadline), str):
            if live != told:
                yield live
            told = live
            host.pause()
        if not holds(live.document, self.manifest):
            raise ClusterRefuses(
                f"{title(self.manifest)} is not as it was applied: somebody else sets some of its fields; "
                "delete it, and run the same command again"
            )

    def _applied(self, host: Host, deadline: float) -> Object | str:
        """What became of it, or what keeps it from being applied for now."""
        try:
            return Cluster(host).apply(self.manifest)
        except (KindUnknown, ClusterBusy) as error:
            if host.now() >= deadline:
                raise WaitedInVain(f"waited {self.patience / 60:.0f} min in vain: {error}") from error
            known = not isinstance(error, KindUnknown)
            return str(error) if known else f"the cluster does not know the kind {self.manifest['kind']} yet"


@dataclass(frozen=True, slots=True)
class PatchObject:
    """Change a field that belongs to somebody else."""

    kind: str
    name: str
    patch: Mapping[str, object]
    why: str
    namespace: str = ""

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return ()

    def describe(self) -> str:
        return f"change {self.kind} {self.name} ({self.why})"

    def difference(self, host: Host) -> Iterator[str]:
        live = Cluster(host).find(self.kind, self.name, self.namespace)
        old = None if live is None else _as_text(_within(live.document, self.patch))
        return difference(Path(f"{self.kind} {self.name}"), old, _as_text(self.patch))

    def make(self, host: Host) -> Iterable[str]:
        Cluster(host).patch(self.kind, self.name, self.patch, self.namespace)
        return ()


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Have no such object."""

    kind: str
    name: str
    namespace: str = ""
    replaces: tuple[Replaced, ...] = ()

    def describe(self) -> str:
        return f"delete {self.kind} {self.namespace}/{self.name}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        Cluster(host).delete(self.kind, self.name, self.namespace)
        return ()


def ensure_object(host: Host, manifest: Manifest) -> Iterator[Change]:
    """What it takes until the object is as given; nothing if it is."""
    live = find_known(Cluster(host), manifest)
    if live is None or not holds(live.document, manifest):
        yield ApplyObject(manifest)


def find_known(cluster: Cluster, manifest: Manifest) -> Object | None:
    """The object as it is; None too where its kind is not there yet, or no cluster answers."""
    try:
        return cluster.find_like(manifest)
    except KindUnknown:
        return None
    except ClusterRefuses:
        if cluster.unready() is None:
            raise
        return None


def _within(live: Mapping[str, object], wanted: Mapping[str, object]) -> dict[str, object]:
    """The parts of an object that a manifest speaks of."""
    found: dict[str, object] = {}
    for key, value in wanted.items():
        if key in live:
            below = live[key]
            both = isinstance(value, Mapping) and isinstance(below, Mapping)
            found[key] = _within(below, value) if both else below  # type: ignore[arg-type]
    return found


def _as_text(document: Mapping[str, object]) -> bytes:
    plain = json.loads(json.dumps(document))  # what only looks like text is not taken by YAML
    return yaml.safe_dump(plain, sort_keys=True).encode()
