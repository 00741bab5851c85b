"""Plots as SVG whose colours are the page's own variables, so that one drawing serves light and dark."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.errors import BenchFailed
from bench.results import Figure

try:
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
except ImportError as error:
    raise BenchFailed("plots need matplotlib: pip install 'k0rdentd[bench]'") from error

_INK, _MUTED, _GRID = "#0a0001", "#0a0002", "#0a0003"
_SERIES = tuple(f"#0b000{number}" for number in range(6))
_VARIABLES = {
    _INK: "ink",
    _MUTED: "muted",
    _GRID: "rule",
    **{colour: f"series-{number}" for number, colour in enumerate(_SERIES)},
}
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "k0rdentd",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 2,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_CHANGES = (
    (re.compile(r"<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL), ""),
    (re.compile(r' id="[A-Za-z0-9]+_[^"]*"'), ""),
    (re.compile(r"font-family: [^;\"]*;? ?"), ""),
    (re.compile(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>'), r'<svg viewBox="\1" aria-hidden="true">'),
)
_DASHES = ("-", "--")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot: points with a median and a range each."""

    name: str
    colour: int
    points: Sequence[tuple[float, float, float, float]]
    """x, lowest, median, highest."""
    dash: int = 0


def line(
    figures: Sequence[Figure], name: str, colour: int, value: Callable[[Figure], float | None], dash: int = 0
) -> Line:
    """What `value` takes from the figures, by x; those for which it is None are left out."""
    by_x: dict[float, list[float]] = {}
    for each in figures:
        if (found := value(each)) is not None:
            by_x.setdefault(each.x, []).append(found)
    points = [(x, min(found), median(found), max(found)) for x, found in sorted(by_x.items())]
    return Line(name, colour, points, dash)


def lines(
    content: Sequence[Line], x_name: str, y_name: str, *, log_x: bool = True, log_y: bool = True, markers: bool = True
) -> str:
    """Lines with the range of their rounds shaded, and their names at a legend above."""
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _drawn(3.2)
        for each in content:
            xs, lows, middles, highs = zip(*each.points, strict=True)
            colour, dash = _SERIES[each.colour % len(_SERIES)], _DASHES[each.dash]
            axes.plot(xs, middles, dash, color=colour, label=each.name, marker="o" if markers else None)
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
        if log_x:
            axes.set_xscale("log")
            _label_all(axes, sorted({point[0] for each in content for point in each.points}))
        else:
            axes.xaxis.set_major_formatter(FuncFormatter(_short))
        if log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(_short))
        return _finished(drawing, axes, x_name, y_name, len(content))


def ranges(content: Mapping[str, Sequence[tuple[str, float, float, float]]], x_name: str) -> str:
    """Ratios on a logarithmic axis with a line at 1: for each name, rows of (label, low, median, high)."""
    labels = list(dict.fromkeys(row[0] for rows in content.values() for row in rows))
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _drawn(0.9 + 0.27 * len(labels))
        axes.axvline(1, color=_MUTED, linewidth=1)
        for number, (name, rows) in enumerate(content.items(), start=1):
            places = [labels.index(row[0]) + 0.16 * (number - 1.5) for row in rows]
            colour = _SERIES[number % len(_SERIES)]
            axes.hlines(
                places, [row[1] for row in rows], [row[3] for row in rows], color=colour, linewidth=3, alpha=0.4
            )
            axes.plot([row[2] for row in rows], places, "o", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        return _finished(drawing, axes, x_name, "", len(content))


def bars(content: Mapping[str, Mapping[str, float]], y_name: str) -> str:
    """Groups of bars: what each name did in each case."""
    cases = list(dict.fromkeys(case for found in content.values() for case in found))
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _drawn(0.9 + 0.2 * len(cases) * len(content))
        width = 0.8 / len(content)
        for number, (name, found) in enumerate(content.items()):
            places = [place + width * (number - (len(content) - 1) / 2) for place in range(len(cases))]
            lengths = [found.get(case, 0) for case in cases]
            axes.barh(places, lengths, width * 0.86, color=_SERIES[number % len(_SERIES)], label=name)
        axes.set_yticks(range(len(cases)), cases)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        return _finished(drawing, axes, y_name, "", len(content))


def _drawn(height: float) -> tuple[Drawing, Axes]:
    drawing = Drawing(figsize=(8.2, max(2.2, height)))
    FigureCanvasSVG(drawing)
    return drawing, drawing.add_subplot()


def _finished(drawing: Drawing, axes: Axes, x_name: str, y_name: str, count: int) -> str:
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.tick_params(length=0)
    axes.minorticks_off()
    if count > 1:
        drawing.legend(loc="outside upper left", ncols=min(count, 4), handlelength=1.4, columnspacing=1.6)
    out = io.StringIO()
    drawing.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _inlined(out.getvalue())


def _label_all(axes: Axes, xs: Sequence[float]) -> None:
    axes.set_xticks(xs)
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _short(value: float, _: object = None) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _inlined(svg: str) -> str:
    """The element alone, in the page's colours and type, of the page's width, without ids that others may have."""
    svg = svg[svg.index("<svg") :]
    for pattern, text in _CHANGES:
        svg = pattern.sub(text, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg
