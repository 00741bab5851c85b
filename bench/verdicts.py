"""What our registry is to reach, and what the figures of a run say about it, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.peers import DISTRIBUTION, NGINX, OURS
from bench.results import Figure, Outcome, Verdict, judged, judged_at_most, of_section, ratio, values
from bench.spread import Spread


@dataclass(frozen=True, slots=True)
class Demand:
    """What the ratio to a peer must reach at least."""

    case: str
    peer: str
    least: float


DEMANDS = (
    Demand("HTTP manifest", DISTRIBUTION, 4),
    Demand("HTTP 4 KiB blob", DISTRIBUTION, 6),
    Demand("HTTP 1 MiB blob", DISTRIBUTION, 4),
    *(Demand(f"HTTP {size} blob", NGINX, 0.95) for size in ("1 MiB", "16 MiB", "256 MiB")),
    *(Demand(f"HTTPS {size} blob", NGINX, 0.9) for size in ("1 MiB", "16 MiB", "256 MiB")),
)
GROWTH = 1.1
MEMORY_GROWTH = 1.25
BUSY = 0.8


def verdicts(figures: Sequence[Figure]) -> tuple[Verdict, ...]:
    """All that the figures allow."""
    return (
        *_rates(of_section(figures, "rates")),
        *_growth(of_section(figures, "workers"), "workers", (1, 8)),
        *_growth(of_section(figures, "concurrency"), "connections", (1, 1000)),
        *_index(of_section(figures, "index")),
        *_memory(figures),
        *_generator(figures),
    )


def _rates(figures: Sequence[Figure]) -> Iterator[Verdict]:
    for demand in DEMANDS:
        found = ratio(values(figures, demand.case, OURS), values(figures, demand.case, demand.peer))
        if found is not None:
            yield judged(f"{demand.case}: at least {demand.least:g} times {demand.peer}", found, demand.least)


def _growth(figures: Sequence[Figure], of: str, ends: tuple[float, float]) -> Iterator[Verdict]:
    """Of what a request costs the server."""
    few, many = (_costs(figures, count) for count in ends)
    found = ratio(many, few)
    if found is not None:
        yield judged_at_most(
            f"CPU time per request from {ends[0]:,.0f} to {ends[1]:,.0f} {of}: at most 1.1 times", found, GROWTH
        )


def _costs(figures: Sequence[Figure], x: float) -> Mapping[int, float]:
    chosen = (each for each in figures if (each.case, each.subject, each.x) == ("HTTP manifest", OURS, x))
    return {each.round: each.details["server_us"] for each in chosen if "server_us" in each.details}


def _index(figures: Sequence[Figure]) -> Iterator[Verdict]:
    sizes = sorted({each.x for each in figures})
    if len(sizes) > 1:
        few, many = (values(figures, "HTTP manifest", OURS, size) for size in (sizes[0], sizes[-1]))
        found = ratio(many, few)
        if found is not None:
            claim = (
                f"manifest rate with {sizes[-1]:,.0f} manifests in the index: at least 0.9 of that with {sizes[0]:.0f}"
            )
            yield judged(claim, found, 0.9)
        yield from _growth(figures, "manifests in the index", (sizes[0], sizes[-1]))


def _memory(figures: Sequence[Figure]) -> Iterator[Verdict]:
    """From when every kind of request has been made once, to the end."""
    seen = [(each.at, each.details["memory"]) for each in figures if each.subject == OURS and "memory" in each.details]
    same = [memory for _, memory in sorted(seen)][len(seen) // 4 :]
    if len(same) > 4:
        third = len(same) // 3
        before, after = (Spread.of(part).median for part in (same[:third], same[-third:]))
        claim = f"memory of the registry stays flat: at the end at most {MEMORY_GROWTH:g} times that after the start"
        outcome: Outcome = "holds" if after <= before * MEMORY_GROWTH else "fails"
        yield Verdict(claim, f"{before / 1e6:.0f} MB, then {after / 1e6:.0f} MB", outcome)


def _generator(figures: Sequence[Figure]) -> Iterator[Verdict]:
    told = (each for each in figures if "generator_share" in each.details)
    shares = {(each.subject, each.case): each.details["generator_share"] for each in told}
    if shares:
        (subject, case), most = max(shares.items(), key=lambda item: item[1])
        claim = f"the generator is not the bottleneck: busy for at most {BUSY:.0%} of its time"
        outcome: Outcome = "holds" if most <= BUSY else "fails"
        yield Verdict(claim, f"{most:.0%} at most, with {subject}, {case}", outcome)
