"""Measurements as tables for people, and as JSON for machines."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import orjson

from bench.footprint import Footprint
from bench.load import Comparison, Timing
from bench.machine import Machine
from bench.peers import OURS
from bench.pull import Pull, Verdict, megabytes, rates, ratio
from bench.sample import Target
from bench.spread import Spread

RATIO = "least / median / most"


def pull_table(pulls: Sequence[Pull], targets: Sequence[Target], peers: Sequence[str]) -> Iterator[str]:
    """Medians, and ratios to each peer."""
    yield f"{'target':<13}{'server':<18}{'requests/s':>11}{'MB/s':>9}   ours/theirs ({RATIO})"
    for target in targets:
        for peer in peers:
            rate = Spread.of(rates(pulls, target.name, peer)).median
            against = "" if peer == OURS else str(ratio(pulls, target.name, peer))
            line = f"{target.name:<13}{peer:<18}{rate:>11,.0f}{megabytes(target, rate):>9,.0f}   {against}"
            yield line.rstrip()


def verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Whether what is required was reached."""
    for verdict in verdicts:
        demand, found = verdict.demand, verdict.ratio.median
        outcome = "holds" if verdict.holds else "DOES NOT HOLD"
        yield f"{demand.target} >= {demand.least:g} x {demand.peer}: {found:.2f}, {outcome}"


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


def others_line(measured: Iterable[Pull | Timing]) -> str:
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
