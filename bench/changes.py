"""Two runs compared: what became better or worse, and what only differs as two runs of the same thing do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.peers import OURS
from bench.results import Figure
from bench.spread import Spread
from bench.tables import LOWER_IS_BETTER

Kind = Literal["better", "worse", "same"]
_LEAST, _LEAST_OF_ONE_ROUND = 0.05, 0.25


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of ours in both runs."""

    name: str
    kind: Kind
    times: float
    """As good as before."""
    told: str


def changes(figures: Sequence[Figure], baseline: Sequence[Figure]) -> tuple[Change, ...]:
    """Of everything of ours that both runs have; what is worse comes first."""
    before, after = _spreads(baseline), _spreads(figures)
    found = [_change(key, before[key], after[key]) for key in after if key in before]
    return tuple(sorted(found, key=lambda change: change.times))


def _spreads(figures: Sequence[Figure]) -> dict[tuple[str, str, float, str], Spread]:
    known: dict[tuple[str, str, float, str], list[float]] = {}
    for key, value in _keyed(figures):
        known.setdefault(key, []).append(value)
    return {key: Spread.of(found) for key, found in known.items()}


def _keyed(figures: Sequence[Figure]) -> Iterator[tuple[tuple[str, str, float, str], float]]:
    for each in figures:
        if each.subject.startswith(OURS):
            yield (each.section, each.case, each.x, each.unit), each.value


def _change(key: tuple[str, str, float, str], before: Spread, after: Spread) -> Change:
    section, case, x, unit = key
    is_apart = after.high < before.low or after.low > before.high
    ratio = after.median / before.median if before.median else 1.0
    times = 1 / ratio if unit in LOWER_IS_BETTER and ratio else ratio
    least = _LEAST_OF_ONE_ROUND if before.is_single or after.is_single else _LEAST
    kind: Kind = "same" if not is_apart or abs(times - 1) <= least else "better" if times > 1 else "worse"
    name = f"{section}: {case}" + (f" at {x:,.0f}" if x else "")
    return Change(name, kind, times, f"{times:.2f} times ({before.median:,.4g} to {after.median:,.4g} {unit})")
