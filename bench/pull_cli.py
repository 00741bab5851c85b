"""`k0rdentd bench pull`, `bench report` and `bench site`."""

import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from bench.changes import changes
from bench.errors import BenchFailed
from bench.foreign import Foreign
from bench.gathered import gathered
from bench.machine import Machine
from bench.page.composed import Drawings, composed
from bench.results import Figure, Results, now
from bench.suite.field import Plan
from bench.suite.run import SECTIONS, measure, versions
from bench.tables import tables
from bench.verdicts import verdicts
from registry.path_name import NewFile, PathName
from registry.transfer.transport import Security

_OUTCOMES = {"holds": "holds", "fails": "DOES NOT HOLD", "tie": "too close to tell"}


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.2), default=1.2, show_default=True, help="Of each measurement.")
@click.option("--tls/--no-tls", default=None, help="HTTPS alone, or HTTP alone.  [default: both]")
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="Measure this section; may repeat.")
@click.option("--quick", is_flag=True, help="One short round of everything, within 3 minutes.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME=URL|COMMAND",
    help="Measure this registry too; a command gets its port as {port} and an empty directory as {folder}.",
)
@click.option("--ca-file", type=PathName(dir_okay=False), help="Whom to trust at peers' addresses.")
@click.option("--insecure", is_flag=True, help="Take any certificate from peers with an address.")
@click.option("--json", "json_file", type=NewFile(), help="Write all figures here, for a report.")
def pull(
    *,
    rounds: int,
    seconds: float,
    tls: bool | None,
    only: tuple[str, ...],
    quick: bool,
    peers: tuple[str, ...],
    ca_file: Path | None,
    insecure: bool,
    json_file: Path | None,
) -> None:
    """Pull as nodes do from our registry, docker-registry, nginx and others, in turn, each with two processes or cores.

    All are started here and stopped at the end; a peer with an address runs already, gets our images, and loses them.
    """
    transports = (False, True) if tls is None else (tls,)
    plan = Plan.quick(transports) if quick else Plan(rounds, seconds, transports)
    security = Security(ca_file, insecure)
    foreign = [Foreign.parse(peer, security) for peer in peers]
    machine, started, began = Machine.here(), now(), time.monotonic()
    click.echo(machine)
    figures: list[Figure] = []
    try:
        _collect(measure(plan, only or tuple(SECTIONS), foreign), figures)
    finally:  # what an interrupted run has found so far is true all the same
        taken = round(time.monotonic() - began, 1)
        if figures:
            found = Results(machine, versions(), _command(), started, taken, tuple(figures), verdicts(figures))
            tell(found)
            if json_file:
                json_file.write_bytes(found.to_json())


def tell(found: Results) -> None:
    """All of it, for a terminal."""
    for table in tables(found.figures):
        click.echo()
        for line in table.lines():
            click.echo(line)
    click.echo()
    for verdict in found.verdicts:
        click.echo(f"{_OUTCOMES[verdict.outcome]}: {verdict.claim}: {verdict.found}")
    others = [figure.details["others"] for figure in found.figures if "others" in figure.details]
    if others:
        click.echo(f"cores kept busy by others meanwhile: {sum(others) / len(others):.2f}")
    click.echo(f"{len(found.figures)} figures in {found.seconds:.0f} s")


def _command() -> str:
    """As it was typed."""
    typed = sys.argv[sys.argv.index("pull") + 1 :] if "pull" in sys.argv else []
    return shlex.join(("k0rdentd", "bench", "pull", *typed))


def _collect(measured: Iterable[Figure], into: list[Figure]) -> None:
    """All of them; what is measured is told on standard error meanwhile."""
    for figure in measured:
        into.append(figure)
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{figure.at:6.0f} s  {figure.case}, {figure.subject}", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


@click.command()
@click.argument("files", nargs=-1, required=True, type=PathName(dir_okay=False))
@click.option("-o", "--output", type=NewFile(), default="bench.html", show_default=True, help="The page.")
@click.option("--baseline", type=PathName(dir_okay=False), help="Mark what became worse since then.")
@click.option("--plots/--no-plots", default=None, help="Draw with matplotlib.  [default: if it is installed]")
def report(*, files: tuple[Path, ...], output: Path, baseline: Path | None, plots: bool | None) -> None:
    """Make one page, and one JSON file beside it, of what --json wrote; both hold all, and need no network."""
    found = gathered(files)
    changed = changes(found.figures, gathered([baseline]).figures) if baseline else ()
    drawings, notice = _drawings(found, plots=plots)
    output.write_text(composed(found, drawings, changed, notice))
    output.with_suffix(".json").write_bytes(found.to_json())
    for verdict in found.verdicts:
        click.echo(f"{_OUTCOMES[verdict.outcome]}: {verdict.claim}: {verdict.found}")
    for change in changed:
        if change.kind != "same":
            click.echo(f"{change.kind.upper()}: {change.name}: {change.told}")
    click.echo(f"{output} and {output.with_suffix('.json')}")


def _drawings(found: Results, *, plots: bool | None) -> tuple[Drawings, str]:
    """What is drawn, and what is to be said where nothing is."""
    if plots is False:
        return {}, "This page was made without plots."
    try:
        from bench.page.drawn import drawn  # noqa: PLC0415  # matplotlib, which only plots need
    except BenchFailed as error:
        if plots:
            raise
        notice = f"{error}; this page was made without them"
        click.echo(notice, err=True)
        return {}, notice
    return drawn(found.figures), ""
