"""The page, from results: verdicts first, then every section in a sentence, a plot and a table."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files

from bench.changes import Change
from bench.results import Figure, Results, Verdict, of_section
from bench.tables import TITLES, Table, tables

Drawings = Mapping[str, Sequence[tuple[str, str]]]
"""Of a section: plots as SVG, and what each shows."""

LEADS = {
    "rates": "One thing asked for over and over: each of 16 connections asks again as soon as it is answered. "
    "Blobs from 1 MiB up are counted by their bytes.",
    "latency": "Requests are due by a clock, whatever becomes of those before, and timed from that instant: what waits "
    "for a busy server has waited. One that does not keep up is not asked more often.",
    "concurrency": "The same manifest over ever more connections: what the server answers, and what it pays for each.",
    "nodes": "Every node resolves each image, takes its index and manifest, then config and layers three at a time, "
    "with new connections for each image and <code>?ns=docker.io</code>, as containerd does; until the last has all.",
    "mixed": "A manifest asked for 250 times a second while new images are pushed over another connection.",
    "slow": "A manifest asked for a hundred times a second while many clients take a large blob slowly.",
    "beside": "A manifest asked for 250 times a second while the store is cared for, over and over.",
    "workers": "The same machine, with ever more workers than it has cores.",
    "index": "The same manifest, in an index with few others and with many.",
    "generator": "The load generator measured, not the server: our own beside wrk, against the same server.",
    "load": "Bundles loaded into a fresh store, durable and verified, beside what only unpacks them.",
}
_WORDS = {"holds": "holds", "fails": "does not hold", "tie": "too close to tell"}
_COUNTED = {"holds": "hold", "fails": "do not", "tie": "too close to tell"}
_RATIOS = (
    "Figures are medians of the rounds. Ratios say how many times as good k0rdentd is, in the lowest, the middle and "
    "the highest round."
)


def composed(results: Results, drawings: Drawings, changes: Sequence[Change] = (), notice: str = "") -> str:
    """The whole page; `changes` since a baseline, if there is one."""
    body = "".join((
        *_opening(results),
        *_verdicts(results.verdicts),
        *_changes(changes),
        *(part for table in tables(results.figures) for part in _section(table, drawings.get(table.section, ()))),
        *(part for part in _memory(results.figures, drawings)),
        *_origin(results, notice),
    ))  # fmt: skip
    style = files("bench.page").joinpath("style.css").read_text()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>k0rdentd bench, {escape(results.started[:10])}</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _opening(results: Results) -> Iterator[str]:
    counts = {name: sum(verdict.outcome == name for verdict in results.verdicts) for name in _WORDS}
    told = ", ".join(f"{count} {_COUNTED[name]}" for name, count in counts.items() if count)
    yield "<header><h1>How fast k0rdentd serves and loads</h1>"
    yield f'<p class="lead">{escape(str(results.machine))}. Measured {escape(_day(results.started))}'
    yield f" in {results.seconds / 60:.0f} minutes. {_RATIOS}</p>"
    yield "<nav>"
    if told:
        yield f'<a href="#verdicts">Verdicts: {told}</a>'
    present = dict.fromkeys(figure.section for figure in results.figures)
    yield "".join(f'<a href="#{name}">{TITLES[name]}</a>' for name in TITLES if name in present)
    yield '<a href="#origin">Machine and commands</a></nav></header>'


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if verdicts:
        yield '<section id="verdicts"><h2>Verdicts</h2>'
        yield "<p>A claim holds where it did in every round, and does not where it did in none; between the two, noise"
        yield ' could explain either.</p><ul class="verdicts">'
        for verdict in sorted(verdicts, key=lambda each: each.outcome != "fails"):
            mark = f'<b class="{verdict.outcome}">{_WORDS[verdict.outcome]}</b>'
            yield f"<li>{mark}<span>{escape(verdict.claim)}</span><span>{escape(verdict.found)}</span></li>"
        yield "</ul></section>"


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        worse = sum(change.kind == "worse" for change in changes)
        yield '<section id="changes"><h2>Since the baseline</h2>'
        yield f"<p>{worse} of {len(changes)} figures are worse, by more than 5 % and in every round:</p>"
        yield '<ul class="verdicts">'
        for change in (change for change in changes if change.kind != "same"):
            mark = f'<b class="{change.kind}">{"worse" if change.kind == "worse" else "better"}</b>'
            yield f"<li>{mark}<span>{escape(change.name)}</span><span>{escape(change.told)}</span></li>"
        yield "</ul></section>"


def _section(table: Table, plots: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f'<section id="{table.section}"><h2>{escape(table.title)}</h2><p>{LEADS.get(table.section, "")}</p>'
    yield from map(_figure, plots)
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.head)
    rows = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in table.rows)
    yield f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
    yield "".join(f"<tr>{row}</tr>" for row in rows)
    yield "</tbody></table></div></section>"


def _memory(figures: Sequence[Figure], drawings: Drawings) -> Iterator[str]:
    if plots := drawings.get("memory"):
        yield '<section id="memory"><h2>Memory over time</h2>'
        yield "<p>What all processes of each server hold after each measurement; pages that they share count once.</p>"
        yield from map(_figure, plots)
        yield "</section>"


def _figure(plot: tuple[str, str]) -> str:
    svg, told = plot
    return f'<figure role="img" aria-label="{escape(told)}">{svg}<figcaption>{escape(told)}</figcaption></figure>'


def _origin(results: Results, notice: str) -> Iterator[str]:
    machine = results.machine
    others = [figure.details["others"] for figure in of_sections(results.figures) if "others" in figure.details]
    facts = {
        "Processor": f"{machine.model}, {machine.cores} cores",
        "System": f"Linux {machine.kernel}, Python {machine.python}, load {machine.load:.1f} before",
        **({"Others": f"kept {sum(others) / len(others):.2f} cores busy on average meanwhile"} if others else {}),
        **dict(results.versions),
    }
    yield '<section id="origin"><h2>Machine, versions, commands</h2><dl>'
    yield "".join(f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in facts.items())
    for command in results.command.split("; "):
        yield f"<dt>Command</dt><dd><code>{escape(command)}</code></dd>"
    yield (
        f'</dl><p class="note" style="margin-top:1.5rem">{escape(notice)}</p></section>'
        if notice
        else "</dl></section>"
    )


def of_sections(figures: Sequence[Figure]) -> Sequence[Figure]:
    """Those that a table shows."""
    return [figure for section in TITLES for figure in of_section(figures, section)]


def _day(started: str) -> str:
    return started.replace("T", " at ").replace("Z", " UTC")
