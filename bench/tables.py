"""Figures as tables: rows and columns that a terminal and a page print alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.peers import OURS
from bench.results import Figure, cases, of_section, ratio, standing, subjects, values, xs
from bench.spread import Spread

TITLES = {
    "rates": "Requests and bytes a second",
    "latency": "Latency at a fixed rate (open loop)",
    "concurrency": "Throughput and cost over connections",
    "nodes": "Nodes that pull images as containerd does",
    "mixed": "Pulls and pushes at once",
    "slow": "Beside slow clients",
    "beside": "While gc, scrub or a load runs",
    "workers": "More workers",
    "index": "More manifests in the index",
    "load": "Bundles",
    "generator": "The generator beside wrk",
}
X_NAMES = {
    "latency": "requests/s asked",
    "concurrency": "connections",
    "workers": "workers",
    "index": "manifests",
    "load": "bytes",
}
LOWER_IS_BETTER = frozenset(("ms", "us", "s"))


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a head, and rows of text; the first column is what was measured."""

    section: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        widths = [max(len(row[place]) for row in (self.head, *self.rows)) for place in range(len(self.head))]
        yield self.title
        for row in (self.head, *self.rows):
            yield "  ".join(
                _aligned(text, width, place) for place, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()


def tables(figures: Sequence[Figure]) -> Iterator[Table]:
    """One for each section that was measured."""
    for section, title in TITLES.items():
        if chosen := of_section(figures, section):
            yield _table(section, title, chosen)


def _table(section: str, title: str, figures: Sequence[Figure]) -> Table:
    names = subjects(figures)
    others = [name for name in names if name != names[0]]
    ratios = tuple(f"{names[0]} / {name}" for name in others)
    varied = X_NAMES.get(section, "")
    has_costs = any("server_us" in each.details for each in figures if each.subject == OURS)
    head = ("measured", *((varied,) if varied else ()), "unit", *names, *ratios, *(("CPU/request",) * has_costs))
    rows = [
        _row(figures, case, x, names, with_x=bool(varied))[: len(head)]
        for case in cases(figures)
        for x in xs(each for each in figures if each.case == case)
    ]
    return Table(section, title, head, tuple(rows))


def _row(figures: Sequence[Figure], case: str, x: float, names: Sequence[str], *, with_x: bool) -> tuple[str, ...]:
    here = [each for each in figures if (each.case, each.x) == (case, x)]
    unit = here[0].unit
    found = {name: values(here, case, name, x) for name in names}
    shown = (_shown([each for each in here if each.subject == name]) for name in names)
    first = found[names[0]]
    ratios = (_compared(first, found[name], unit) for name in names[1:])
    costs = [each.details["server_us"] for each in here if each.subject == OURS and "server_us" in each.details]
    cost = (f"{Spread.of(costs).median:,.0f} us" if costs else "",) if OURS in names else ()
    return (case, *((f"{x:,.0f}",) if with_x else ()), _unit(unit), *shown, *ratios, *cost)


def _unit(unit: str) -> str:
    return "ms, 99 %" if unit == "ms" else unit


def _shown(figures: Sequence[Figure]) -> str:
    if not figures:
        return "-"
    if not any(each.details.get("kept_up", 1) for each in figures):
        return "too slow"
    middle = Spread.of([each.value for each in figures]).median
    return f"{middle:,.0f}" if middle >= 100 else f"{middle:,.2f}"


def _compared(ours: dict[int, float], theirs: dict[int, float], unit: str) -> str:
    """How many times as good the first one is, whatever is better here: lowest, median and highest round."""
    found = ratio(theirs, ours) if unit in LOWER_IS_BETTER else ratio(ours, theirs)
    return "" if found is None else f"{found}{', a tie' * (standing(found) == 'a tie')}"


def _aligned(text: str, width: int, place: int) -> str:
    return text.ljust(width) if place == 0 else text.rjust(width)
