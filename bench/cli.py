"""`k0rdentd bench`: throughput against real peers. Timings are told, and never fail."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar, get_args

import click

from bench.bundle import Form
from bench.corpus import ByteSize
from bench.floor import FLOOR_FORMS, Content, against_floor
from bench.load import Comparison, Contender, against_earlier, against_tar, among_sources, measure, peak
from bench.machine import Machine
from bench.peers import ours
from bench.phases import phases as life
from bench.pull_cli import pull, report
from bench.report import footprint_line, load_table, others_line, write_json
from bench.sample import Sample
from bench.site_cli import site
from bench.slow import measure as measure_slow
from bench.slow import target
from bench.stock import bundle
from registry.lazy_group import LazyGroup
from registry.oci.errors import Failure
from registry.path_name import NewFile, PathName

T = TypeVar("T")

rounds_option = click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
json_option = click.option("--json", "json_file", type=NewFile(), help="Write all measurements here.")


@click.group(cls=LazyGroup)
def bench() -> None:
    """Measure pulls and loads against other programs on this machine."""


bench.add_command(pull)
bench.add_command(report)
bench.add_command(site)


@bench.command()
@click.option(
    "--work",
    type=PathName(file_okay=False),
    default=Path(tempfile.gettempdir(), "k0rdentd-bench"),
    show_default=True,
    help="Directory on the disk to measure; generated bundles stay there. Needs about 3 times the largest size.",
)
@click.option("--size", "sizes", type=ByteSize(), multiple=True, default=("2GB",), help="Of the bundle; may repeat.")
@rounds_option
@click.option("--sources/--no-sources", default=False, help="Compare tar.gz, tar, tar.zst and a directory.")
@click.option(
    "--earlier/--no-earlier", default=False, help="Compare with tar and five skopeo, as the earlier tool did."
)
@click.option("--floor/--no-floor", default=False, help="Compare with what the machine needs at the least, by source.")
@click.option(
    "--phases/--no-phases", default=False, help="Compare with a signature, a second load, and one gone on with."
)
@json_option
def load(
    *,
    work: Path,
    sizes: tuple[int, ...],
    rounds: int,
    sources: bool,
    earlier: bool,
    floor: bool,
    phases: bool,
    json_file: Path | None,
) -> None:
    """Load a generated bundle into fresh stores, and unpack it with tar, in turn."""
    machine, folder = Machine.here(), work.resolve() / "run"
    compared, footprints = [], {}
    click.echo(machine)
    for size in sizes:
        whole = bundle(work.resolve(), size)
        compared.append(_compared(against_tar(whole), folder, rounds))
        footprints[str(size)] = peak(whole, folder)
        click.echo(footprint_line(size, footprints[str(size)]))
        if sources:
            forms = [bundle(work.resolve(), size, form) for form in get_args(Form) if form != "tgz"]
            compared.append(_compared(among_sources(forms), folder, rounds))
        if earlier:
            compared.append(_compared(against_earlier(bundle(work.resolve(), size, nested=False)), folder, rounds))
        if floor:
            content = Content.of(whole, folder)
            for form in FLOOR_FORMS:
                contenders = against_floor(bundle(work.resolve(), size, form), content)
                compared.append(_compared(contenders, folder, rounds))
        if phases:
            compared.append(_compared(life(whole), folder, rounds))
    if json_file:
        write_json(json_file, machine, comparisons=compared, footprints=footprints)


@bench.command()
@click.option("--clients", type=click.IntRange(2), default=2000, show_default=True)
@click.option("--rate", type=ByteSize(), default="100KB", show_default=True, help="Bytes a second that each takes.")
@click.option("--seconds", type=click.IntRange(1), default=20, show_default=True, help="That each download lasts.")
@click.option("--tls/--no-tls", default=False, help="Download by HTTPS.")
@json_option
def slow(*, clients: int, rate: int, seconds: int, tls: bool, json_file: Path | None) -> None:
    """Serve many slow downloads with two workers, and time a quick request beside them."""
    machine, sample = Machine.here(), Sample.make(huge=rate * seconds)
    click.echo(machine)
    quick, *_, large = sample.targets
    with tempfile.TemporaryDirectory(prefix="k0rdentd-bench-") as folder, ours(sample, Path(folder)) as url:
        ca_file = f"{folder}/storage/pki/ca.crt" if tls else None
        found = measure_slow(target(url, large.path, rate * seconds, rate, ca_file), clients, quick.path)
    _tell(found.lines())
    if json_file:
        write_json(json_file, machine, slow=found)


def _compared(contenders: tuple[Contender, ...], folder: Path, rounds: int) -> Comparison:
    timings = _shown(measure(contenders, folder, rounds), rounds * len(contenders))
    names = tuple(contender.name for contender in contenders)
    compared = Comparison(contenders[0].bundle.size, names, tuple(timings))
    _tell((*load_table(compared), others_line(timings)))
    return compared


def _shown(measurements: Iterable[T], total: int) -> list[T]:
    """All of them; how many there are is told on standard error meanwhile."""
    with click.progressbar(measurements, length=total, file=sys.stderr) as bar:
        return list(bar)


def _tell(lines: Iterable[str]) -> None:
    for line in ("", *lines):
        click.echo(line)


def main() -> None:
    """`python -m bench.cli`: failures end as sentences here too."""
    try:
        bench()
    except Failure as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
