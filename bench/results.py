"""What every measurement is written down as: one shape for all of them, in memory, in JSON and in a report."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import orjson

from bench.errors import BenchFailed
from bench.machine import Machine
from bench.spread import Spread

SCHEMA = 1
Outcome = Literal["holds", "fails", "tie"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: what `subject` did in one round with one case, at `x` of what the section varies."""

    section: str
    case: str
    subject: str
    round: int
    value: float
    unit: str
    x: float = 0
    details: Mapping[str, float] = field(default_factory=dict)
    """Further figures of the same measurement: percentiles, seconds of cores, bytes of memory."""
    at: float = 0
    """Seconds since the first measurement."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim, and what was found; `tie` where noise could explain either answer."""

    claim: str
    found: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Results:
    """All that one run found."""

    machine: Machine
    versions: Mapping[str, str]
    command: str
    started: str
    seconds: float
    figures: tuple[Figure, ...]
    verdicts: tuple[Verdict, ...]
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """The whole of it."""
        return orjson.dumps(self, option=orjson.OPT_INDENT_2)

    @classmethod
    def parse(cls, document: Mapping[str, Any], name: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BenchFailed: it is something else, of which `name` is the file.
        """
        try:
            if document["schema"] != SCHEMA:
                raise BenchFailed(f"{name} has results of another release (schema {document['schema']}): measure anew")
            parts = {
                "figures": tuple(Figure(**figure) for figure in document["figures"]),
                "verdicts": tuple(Verdict(**verdict) for verdict in document["verdicts"]),
                "machine": Machine(**document["machine"]),
            }
            return cls(**{**document, **parts})
        except (ValueError, KeyError, TypeError) as error:
            raise BenchFailed(f"{name} holds no results of k0rdentd bench: {error!r}") from error

    def judged(self, verdicts: Sequence[Verdict]) -> Self:
        """The same, with other verdicts."""
        return replace(self, verdicts=tuple(verdicts))

    def joined(self, other: Self) -> Self:
        """Both, on the machine of the first, one after the other."""
        versions = {**self.versions, **other.versions}
        command = f"{self.command}; {other.command}"
        later = tuple(replace(figure, at=figure.at + self.seconds) for figure in other.figures)
        figures, verdicts = self.figures + later, self.verdicts + other.verdicts
        seconds = self.seconds + other.seconds
        started = min(filter(None, (self.started, other.started)), default="")
        return type(self)(self.machine, versions, command, started, seconds, figures, verdicts)


def now() -> str:
    """The time, as a document tells it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def values(figures: Iterable[Figure], case: str, subject: str, x: float = 0) -> dict[int, float]:
    """What one subject did in one case, by round."""
    return {each.round: each.value for each in figures if (each.case, each.subject, each.x) == (case, subject, x)}


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """Ours over theirs, round by round; none where no round has both."""
    shared = sorted(ours.keys() & theirs.keys())
    if not shared or not all(theirs[number] for number in shared):
        return None
    return Spread.of_ratios([ours[number] for number in shared], [theirs[number] for number in shared])


def judged(claim: str, found: Spread, least: float) -> Verdict:
    """Whether a ratio reaches `least`: in every round, in none, or now and then, which noise could explain."""
    low, high = _certain(found)
    outcome: Outcome = "holds" if low >= least else "fails" if high < least else "tie"
    return Verdict(claim, str(found), outcome)


def judged_at_most(claim: str, found: Spread, most: float) -> Verdict:
    """Likewise, whether a ratio stays below `most`."""
    low, high = _certain(found)
    outcome: Outcome = "holds" if high <= most else "fails" if low > most else "tie"
    return Verdict(claim, str(found), outcome)


def standing(found: Spread | None) -> str:
    """A ratio in words."""
    if found is None:
        return ""
    low, high = _certain(found)
    return "a tie" if low <= 1 <= high or abs(found.median - 1) < _NOISE else f"{found.median:.2f} times"


def _certain(found: Spread) -> tuple[float, float]:
    """What the ratio may be; after a single round, which tells nothing of the noise, a fifth more or less."""
    return (found.low * 0.8, found.high * 1.25) if found.is_single else (found.low, found.high)


_NOISE = 0.03
"""What two runs of the same thing differ by on a quiet machine."""


def subjects(figures: Sequence[Figure]) -> tuple[str, ...]:
    """Who was measured, in the order of the first measurement."""
    return tuple(dict.fromkeys(each.subject for each in figures))


def cases(figures: Sequence[Figure]) -> tuple[str, ...]:
    """What was measured, likewise."""
    return tuple(dict.fromkeys(each.case for each in figures))


def of_section(figures: Iterable[Figure], section: str) -> tuple[Figure, ...]:
    """Those of one section."""
    return tuple(each for each in figures if each.section == section)


def xs(figures: Iterable[Figure]) -> Iterator[float]:
    """What was varied, from the least."""
    yield from sorted({each.x for each in figures})
