"""`k0rdentd load`."""

import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from loader.config import LoadSettings, default_jobs
from loader.contents import list_members
from loader.display import FORMS, display
from loader.errors import LoaderError
from loader.load_command import LoadCommand, report_option, selection_options
from loader.pipeline import Load
from loader.report import Origin, Outcome, Report, Status, write_json
from loader.selection import Selection
from loader.source import Source
from registry.oci.errors import Failure
from registry.options import storage_option, verify_options
from registry.path_name import PathName
from registry.storage.store import Store
from registry.text import printable
from registry.units import counted, human
from registry.verification import Verification

_FAILURES_SHOWN = 20
_BUNDLE = PathName()

_log = logging.getLogger("k0rdentd.load")


@click.command(cls=LoadCommand)
@click.argument("bundle", type=_BUNDLE)
@storage_option
@verify_options
@click.option("--jobs", type=click.IntRange(1, 256), default=default_jobs, help="Processes that hash and write.")
@selection_options
@click.option("--strip-components", type=click.IntRange(0, 1000), help="Leading folders to drop from every path.")
@click.option("--dry-run", is_flag=True, help="List what would be loaded, and load nothing.")
@click.option(
    "--force",
    is_flag=True,
    help="Read all of a bundle that an earlier load knows; load even if the disk seems too small.",
)
@click.option("--progress", type=click.Choice(FORMS), default="auto", show_default=True)
@report_option
def load(
    bundle: Path,
    storage: tuple[Path, ...],
    verify: bool | None,  # noqa: FBT001  # click calls by keyword
    cosign_key: str | None,
    cosign_signature: Path | None,
    jobs: int,
    selection: Selection,
    strip_components: int | None,
    dry_run: bool,  # noqa: FBT001
    force: bool,  # noqa: FBT001
    progress: str,
    report: Path | None,
) -> None:
    """Load BUNDLE into a store, which a registry may be serving meanwhile.

    BUNDLE is a .tar.gz, .tgz, .tar or .tar.zst file, the first of the pieces of one (.00 or .aa), a
    directory into which one was unpacked, or - for standard input.
    Run it again after any interruption: it goes on where it was, and a bundle that is loaded is known
    again without reading it, by its size, times and samples of it. With --force it is read all the same.
    Its signature lies beside it as BUNDLE.sig, and --cosign-key names the signer's public key: no image
    is served before the signature holds. A bundle without them takes --no-verify.
    """
    with Source(bundle, strip_components) as source:
        if dry_run:
            _dry_run(source, selection, report)
        else:
            if evidence := Verification(verify, cosign_key, cosign_signature).evidence(bundle):
                evidence.require()
            settings = LoadSettings(bundle, storage, jobs, selection, strip_components, force, evidence)
            _load(Load(settings, source, Store.open(storage)), progress, report)


def _load(run: Load, progress: str, report: Path | None) -> None:
    _interrupt_on_signals(run)
    started = time.monotonic()
    form = ("bar" if sys.stderr.isatty() else "plain") if progress == "auto" else progress
    outcomes: list[Outcome] = []
    try:
        _follow(run, form, outcomes)
    except (Failure, KeyboardInterrupt) as error:
        if report is not None:
            with suppress(Failure):  # a full disk must not hide what went wrong
                run.report.write(report, outcomes, str(error) or "interrupted")
        raise
    for sentence in (run.report.summary(time.monotonic() - started), _provenance(run.report.origin)):
        _say(form, sentence, err=form == "json")
    if report is not None:
        run.report.write(report, outcomes)
    _tell_failures(run.report, form)
    run.require_platforms()
    if not run.report.images:
        raise LoaderError(f"nothing in {run.source.shown} is wanted: 'k0rdentd bundle inspect' lists what there is")


def _follow(run: Load, form: str, certain: list[Outcome]) -> None:
    """Show how it goes on, and keep what is `certain` for a report."""
    with display(form, run, click.echo) as show:
        for outcome in run.outcomes():
            while run.notes:
                _say(form, run.notes.pop(0), "k0rdentd: ", err=True)
            show(outcome)
            if outcome.status is not Status.READ:
                certain.append(outcome)


def _say(form: str, sentence: str, prefix: str = "", *, err: bool) -> None:
    """To the log, if that is where the progress goes."""
    if form == "log":
        _log.info("%s", sentence)
    else:
        click.echo(f"{prefix}{sentence}", err=err)


def _provenance(origin: Origin) -> str:
    if origin.sha256 is None:
        return "the signature of the bundle was not checked"
    held = "held when it was loaded, and the file was not touched since" if origin.is_recalled else "holds"
    return f"the signature {held}: file SHA-256 {origin.sha256}, key SHA-256 {origin.signer}"


def _interrupt_on_signals(run: Load) -> None:
    """Ctrl-C, or a supervisor's SIGTERM; a second one kills, which loses nothing either."""

    def interrupt(number: int, _: FrameType | None) -> None:
        run.interrupt()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def _tell_failures(report: Report, form: str) -> None:
    """Once more at the end, but in a log: on a long load the lines about them are far up."""
    if not report.failures:
        return
    for failure in report.failures[: 0 if form == "log" else _FAILURES_SHOWN]:
        click.echo(f"  {printable(failure.path)}: {printable(failure.error or '')}", err=True)
    raise LoaderError(
        f"{len(report.failures)} of {report.members} members failed, "
        f"{'the others are' if report.images else 'nothing is'} loaded: "
        "mend or replace the bundle and load again; only what is missing is loaded"
    )


def _dry_run(source: Source, selection: Selection, report: Path | None) -> None:
    count = size = 0
    members: list[dict[str, object]] = []
    for listed in list_members(source, selection):
        if listed.error is not None or listed.is_wanted:
            click.echo(f"{listed.outcome} {listed.line()}")
        if listed.is_wanted:
            count, size = count + 1, size + listed.size
        if report is not None:
            members.append(listed.to_json() | {"outcome": listed.outcome})
    click.echo(f"{counted(count, 'image or chart', 'images and charts')}, up to {human(size)}")
    if report is not None:
        write_json(report, {"bundle": source.name, "dry_run": True, "members": members})
