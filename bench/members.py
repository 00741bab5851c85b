"""The good members of a bundle, each built when it is due."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from bench.archive import Archive, Entry, files
from bench.bundle import BrokenMember, BundleSpec, Kind, Member
from bench.catalog import OVERHEAD, Plan, Row, plan
from bench.filler import Headed, Pool
from bench.layout import (
    REF_NAME,
    Blob,
    Layer,
    Tree,
    artifact,
    chart,
    docker_archive,
    image,
    index,
    layer,
    oci_archive,
)
from bench.strays import strays, text

ARCHS = ("amd64", "arm64")
K0S = "k0sproject/k0s"
K0S_STUB = "#!/bin/sh\necho {version}\nexit\n"
SMALLEST_LAYER = 2_048
LINEAGES = {  # sizes of the layers that images share, at the vendor's scale
    "distroless": (2_000_000, 18_000_000),
    "debian": (30_000_000, 45_000_000),
    "alpine": (4_000_000, 8_000_000),
}
METADATA = """\
apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3
kind: Metadata
releaseSeries:
- major: {major}
  minor: {minor}
  contract: v1beta1
"""

Base = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A member ready to be written: its place in the bundle, what is recorded of it, and its blobs."""

    entry: Entry
    record: Member | BrokenMember | None = None
    blobs: tuple[Blob, ...] = ()


@dataclass(frozen=True, slots=True)
class Mill:
    """Makes the members of one bundle."""

    spec: BundleSpec
    plan: Plan
    pool: Pool
    bases: Mapping[str, tuple[Base, ...]]

    @classmethod
    def of(cls, spec: BundleSpec, pool: Pool) -> Self:
        """Plan the bundle and make the layers that its images share."""
        planned = plan(spec)
        return cls(spec, planned, pool, {arch: _bases(pool, arch, planned.scale) for arch in ARCHS})

    def members(self) -> Iterator[Made]:
        """All good members and strays, in the order of their paths."""
        rows = {row.path: row for row in self.plan.rows if row.kind != "binary"}
        binaries = [row for row in self.plan.rows if row.kind == "binary"]
        found = {entry.name: entry for row in binaries for entry in strays(row, self.pool, self.spec.version)}
        for path in sorted([*rows, *found]):
            yield Made(found[path]) if path in found else self._make(rows[path])

    def _make(self, row: Row) -> Made:
        match row.kind:
            case "image":
                return self._oci(row, "image", self._image(row))
            case "chart":
                return self._oci(row, "chart", self._chart(row))
            case "artifact":
                return self._oci(row, "artifact", self._artifact(row))
            case "docker-archive":
                return self._docker(row)
            case kind:
                raise ValueError(f"catalog.tsv: {row.path} is of the unknown kind {kind}")

    def _oci(self, row: Row, kind: Kind, tree: Tree) -> Made:
        annotations = {REF_NAME: row.tag} if row.shape == "named" else None
        entry = oci_archive(tree, annotations).as_entry(row.path)
        record = Member(row.path, kind, row.repository, row.tag, entry.size, tree.root.digest, (), tree.platforms)
        return Made(entry, record, tree.blobs)

    def _docker(self, row: Row) -> Made:
        layers = self._layers(row, "amd64", row.size)
        repo_tag = f"docker.io/library/{row.repository}:{row.tag}"
        entry = docker_archive(layers, repo_tag).as_entry(row.path)
        diff_ids = tuple(layer.diff_id for layer in layers)
        platforms = ("linux/amd64",)
        record = Member(row.path, "docker-archive", row.repository, row.tag, entry.size, None, diff_ids, platforms)
        return Made(entry, record)

    def _image(self, row: Row) -> Tree:
        if row.shape in ("single", "named"):
            return image(self._layers(row, "amd64", row.size))
        amd64, arm64 = (image(self._layers(row, arch, row.size // 2), arch) for arch in ARCHS)
        return index([amd64, arm64] if row.shape == "multi" else [amd64, index([arm64])])

    def _layers(self, row: Row, arch: str, size: int) -> tuple[Layer, ...]:
        """Two to six layers: one or two shared ones, then the image's own."""
        rng = random.Random(f"{self.spec.seed}/{row.path}")
        base = self._base(rng, arch, size)
        own = size - OVERHEAD - _packed_size(base)
        weights = [rng.uniform(1, 6) for _ in range(rng.randint(1 if base else 2, 3))]
        parts = [max(SMALLEST_LAYER, round(own * weight / sum(weights))) for weight in weights]
        layers = [self.pool.layer(f"{arch}/{row.path}/{number}", part) for number, part in enumerate(parts)]
        if row.repository == K0S:
            layers[-1] = _k0s(row, self.pool, parts[-1])
        return (*base, *layers, *([_settings(row, arch)] if rng.random() < 0.6 else []))

    def _base(self, rng: random.Random, arch: str, size: int) -> Base:
        """One of the two largest bases that leave the image at least a third of its size."""
        fitting = [base for base in self.bases[arch] if 3 * _packed_size(base) < 2 * size]
        return rng.choice(fitting[-2:]) if fitting else ()

    def _chart(self, row: Row) -> Tree:
        body = text(self.pool.filler(row.path, max(64, row.size - 6_500)))
        return chart(row.name, row.tag.replace("_", "+"), {"files/dashboard.txt": body})

    def _artifact(self, row: Row) -> Tree:
        provider = row.name.removesuffix("-components")
        major, minor, _ = row.tag.removeprefix("v").split(".")
        metadata = METADATA.format(major=major, minor=minor).encode()
        components = text(self.pool.filler(row.path, max(64, (row.size - 4_500) * 3 // 4)))
        return artifact({"metadata.yaml": metadata, f"{provider}-components.yaml": components})


def _bases(pool: Pool, arch: str, scale: float) -> tuple[Base, ...]:
    """Every lineage with its first layer alone, and with all of them; the smallest first."""
    found: list[Base] = []
    for name, sizes in LINEAGES.items():
        scaled = [max(SMALLEST_LAYER, round(size * scale)) for size in sizes]
        first, second = (pool.layer(f"{arch}/base/{name}-{depth}", size) for depth, size in enumerate(scaled))
        found += [(first,), (first, second)]
    return tuple(sorted(found, key=_packed_size))


def _packed_size(layers: Base) -> int:
    return sum(layer.blob.size for layer in layers)


def _k0s(row: Row, pool: Pool, size: int) -> Layer:
    """What the real image has at the same place: an executable; this one can but tell its version."""
    version = row.tag.replace("-k0s.", "+k0s.")
    body = Headed(K0S_STUB.format(version=version).encode(), pool.filler(row.path, size))
    folders = (Entry.directory(name) for name in ("usr", "usr/local", "usr/local/bin"))
    return Layer.stored(Archive((*folders, Entry("usr/local/bin/k0s", body, body.size, 0o755))))


def _settings(row: Row, arch: str) -> Layer:
    """The small, really compressed layer that ends many images."""
    about = f"NAME={row.repository}\nVERSION={row.tag}\nARCH={arch}\n".encode()
    passwd = b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"
    return layer(files({"etc/os-release": about, "etc/passwd": passwd}))
