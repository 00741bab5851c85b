"""Which members a bundle holds, and how large each one is."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import count, islice
from typing import Self

from bench.bundle import BundleSpec

WHOLE = 500_000_000  # from this size on a bundle holds the full catalog
CORE = 10  # rows that every bundle has
OVERHEAD = 16_000  # headers, manifests, configs, and the layer of small files of one image
SMALLEST_IMAGE = 48_000
GROWING = ("image",)
SHRINKING = ("image", "binary", "docker-archive")


class SpecImpossible(ValueError):
    """No bundle can be as the spec says."""


@dataclass(frozen=True, slots=True)
class Row:
    """A member: its kind, its path below the bundle's root, its size, and the shape of an image."""

    kind: str
    path: str
    size: int
    shape: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line of catalog.tsv."""
        kind, path, size, shape = line.split("\t")
        return cls(kind, path, int(size), shape)

    @property
    def repository(self) -> str:
        """The repository a loader must derive from the path."""
        return self._split()[0]

    @property
    def tag(self) -> str:
        """The tag a loader must derive from the path."""
        return self._split()[1]

    @property
    def name(self) -> str:
        """The last part of the repository."""
        return self.repository.rpartition("/")[2]

    def _split(self) -> tuple[str, str]:
        """At the first `_` for a chart (no chart's name has one, its tag may), else at the last."""
        split = str.partition if self.kind == "chart" else str.rpartition
        repository, _, tag = split(self.path.removesuffix(".tar"), "_")
        return repository, tag


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows of a bundle in the order of their paths, and how its images relate to the vendor's in size."""

    rows: tuple[Row, ...]
    scale: float


def plan(spec: BundleSpec) -> Plan:
    """Choose the members for `spec` and spread its size over them."""
    chosen = [_fitted(row, spec) for row in _chosen(spec)]
    room = spec.size - sum(row.size for row in chosen if row.kind not in SHRINKING) - OVERHEAD
    elastic = SHRINKING if room < _total(chosen, SHRINKING) else GROWING
    room -= _total(chosen, SHRINKING) - _total(chosen, elastic)
    scale = room / max(1, _total(chosen, elastic))
    if room < SMALLEST_IMAGE * sum(row.kind in elastic for row in chosen):
        raise SpecImpossible(f"{spec.size} bytes are too few for {len(chosen)} members")
    rows = (_scaled(row, scale if row.kind in elastic else 1) for row in chosen)
    return Plan(tuple(sorted(rows, key=lambda row: row.path)), scale)


def _chosen(spec: BundleSpec) -> Iterator[Row]:
    rows = _catalog(spec.version)
    top = rows[: max(CORE, round(len(rows) * min(1, spec.size / WHOLE)))]
    yield from (row for row in top if row.kind != "image")
    images = top if spec.images is None else [*rows, *islice(_invented(spec.seed), spec.images)]
    yield from islice((row for row in images if row.kind == "image"), spec.images)


def _catalog(version: str) -> list[Row]:
    text = files("bench").joinpath("catalog.tsv").read_text()
    lines = text.replace("{version}", version).splitlines()
    return [Row.parse(line) for line in lines if not line.startswith("#")]


def _invented(seed: int) -> Iterator[Row]:
    """Images beyond the published names; the vendor counts 233."""
    rng = random.Random(f"invented/{seed}")
    for number in count(1):
        shape = rng.choice(("single", "single", "multi"))
        yield Row("image", f"mirror/app-{number:03}_v1.{number}.0.tar", rng.randint(10, 200) * 1_000_000, shape)


def _fitted(row: Row, spec: BundleSpec) -> Row:
    """Charts and artifacts keep their size, unless the bundle is so small that they would fill it."""
    if row.kind not in SHRINKING:
        return replace(row, size=min(row.size, max(8_000, spec.size // 25)))
    return replace(row, shape="multi") if row.shape == "nested" and not spec.nested else row


def _scaled(row: Row, scale: float) -> Row:
    if row.kind not in SHRINKING:
        return row
    return replace(row, size=max(SMALLEST_IMAGE, round(row.size * scale)))


def _total(rows: list[Row], kinds: tuple[str, ...]) -> int:
    return sum(row.size for row in rows if row.kind in kinds)
