"""Which plots a report has: the figures of each section, as lines, ranges or bars."""

from collections.abc import Callable, Iterator, Sequence

from bench.page.plots import Line, bars, line, lines, ranges
from bench.peers import OURS
from bench.results import Figure, cases, of_section, ratio, subjects, values
from bench.spread import Spread

Plots = list[tuple[str, str]]


def drawn(figures: Sequence[Figure]) -> dict[str, Plots]:
    """All plots that the figures allow, by section."""
    drawing: dict[str, Callable[[Sequence[Figure]], Iterator[tuple[str, str]]]] = {
        "rates": _rates,
        "latency": _latency,
        "concurrency": _concurrency,
        "nodes": _nodes,
        "workers": _workers,
        "load": _load,
    }
    found = {name: list(draw(chosen)) for name, draw in drawing.items() if (chosen := of_section(figures, name))}
    return {**found, "memory": list(_memory(figures))}


def _rates(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    content = {}
    for name in subjects(figures)[1:]:
        rows = [(case, found) for case in cases(figures) if (found := _ratio(figures, case, name))]
        content[f"k0rdentd / {name}"] = [(case, each.low, each.median, each.high) for case, each in rows]
    if content:
        yield (
            ranges(content, "times as fast as the other"),
            "How many times as fast k0rdentd is; the bar is what the rounds span.",
        )


def _ratio(figures: Sequence[Figure], case: str, name: str) -> Spread | None:
    return ratio(values(figures, case, OURS), values(figures, case, name))


def _latency(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    for case in cases(figures):
        content = []
        for number, name in enumerate(subjects(figures)):
            chosen = [each for each in figures if (each.case, each.subject) == (case, name) and each.details["kept_up"]]
            for dash, share in enumerate(("p99", "p50")):
                content.append(line(chosen, f"{name}, {share[1:]} %", number, _detail(share), dash))
        if content := [each for each in content if each.points]:
            told = f"{case}: 99 % (solid) and 50 % (dashed) were answered within; up to the last rate kept up with."
            yield lines(content, "requests a second, asked by a clock", "milliseconds"), told


def _concurrency(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    for case in cases(figures):
        here = [each for each in figures if each.case == case]
        rates, costs = (list(_by_subject(here, value)) for value in (lambda each: each.value, _detail("server_us")))
        yield lines(rates, "connections", "requests a second"), f"{case}: requests a second over connections."
        if costs:
            yield (
                lines(costs, "connections", "CPU time, us"),
                f"{case}: microseconds of CPU that a request costs the server.",
            )


def _nodes(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    found = {name: {case: values(figures, case, name) for case in cases(figures)} for name in subjects(figures)}
    content = {
        name: {case: Spread.of(list(rounds.values())).median for case, rounds in by_case.items() if rounds}
        for name, by_case in found.items()
    }
    yield (
        bars(content, "MB a second, all nodes together"),
        "What all nodes together got a second, until the last one had all images.",
    )


def _workers(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    if costs := list(_by_subject(figures, _detail("server_us"))):
        yield (
            lines(costs, "workers", "CPU time, us", log_y=False),
            "Microseconds of CPU that a manifest costs, over the workers.",
        )


def _load(figures: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    if found := list(_by_subject(figures, lambda each: each.value)):
        yield lines(found, "bytes of the bundle", "seconds"), "Seconds that a bundle takes, over its size."


def _memory(measured: Sequence[Figure]) -> Iterator[tuple[str, str]]:
    figures = [each for each in measured if each.section != "generator"]
    content = []
    for number, name in enumerate(subjects(figures)):
        seen = [
            (each.at, each.details["memory"] / 1e6)
            for each in figures
            if each.subject == name and "memory" in each.details
        ]
        seen = [(at, memory) for at, memory in sorted(seen) if memory]
        if len(seen) > 1:
            content.append(Line(name, number, [(at, memory, memory, memory) for at, memory in seen]))
    if content:
        told = "Memory of each server after each measurement, in MB, over the seconds of the run."
        yield lines(content, "seconds", "MB", log_x=False, markers=False), told


def _by_subject(figures: Sequence[Figure], value: Callable[[Figure], float | None]) -> Iterator[Line]:
    for number, name in enumerate(subjects(figures)):
        found = line([each for each in figures if each.subject == name], name, number, value)
        if found.points:
            yield found


def _detail(name: str) -> Callable[[Figure], float | None]:
    return lambda each: each.details.get(name)
