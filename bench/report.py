"""Measurements as tables for people, and as JSON for machines."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from bench.footprint import Footprint
from bench.load import Comparison, Timing
from bench.machine import Machine
from bench.spread import Spread

RATIO = "least / median / most"


def load_table(compared: Comparison) -> Iterator[str]:
    """Medians of every contender, and how many times as fast the first one is."""
    first, size = compared.contenders[0], compared.size
    yield f"{human(size):<22}{'seconds':>9}{'MB/s':>8}   times as fast is {first} ({RATIO})"
    for name in compared.contenders:
        middle = Spread.of(compared.seconds(name)).median
        against = "" if name == first else str(compared.speed(name))
        yield f"{name:<22}{middle:>9.2f}{size / middle / 1e6:>8,.0f}   {against}".rstrip()


def footprint_line(size: int, found: Footprint) -> str:
    """Peak memory of a load, and what it wrote elsewhere."""
    memory = f"peak memory {found.pss / 1e6:.0f} MB (PSS), {found.rss / 1e6:.0f} MB (RSS)"
    return f"{human(size)}: {memory}; files written outside the storage: {', '.join(sorted(found.outside)) or 'none'}"


def others_line(measured: Iterable[Timing]) -> str:
    """How much the machine had to do besides."""
    found = Spread.of([one.others for one in measured])
    return f"cores kept busy by others meanwhile: {found}"


def human(size: int) -> str:
    """A size as an option takes it."""
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"


def write_json(path: Path, machine: Machine, **measured: object) -> None:
    """Everything that was measured, one by one."""
    path.write_bytes(orjson.dumps({"machine": machine, **measured}, default=_plain, option=orjson.OPT_INDENT_2))


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError
