"""`k0rdentd bundle push`, which is `k0rdentd load --to`: a bundle into any registry."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from loader.errors import BundleInvalid, LoaderError
from loader.load_command import report_option
from loader.proof import prove_before_use
from loader.push import Push
from loader.report import Origin, Outcome, Report, Status
from loader.selection import Selection
from loader.source import Source
from registry.credentials import credential_options
from registry.options import verify_options
from registry.path_name import PathName
from registry.text import printable
from registry.transfer.access import Credentials
from registry.transfer.place import Address
from registry.transfer.remote import RegistryTarget
from registry.transfer.signals import interrupt_on_signals
from registry.units import human
from registry.verification import Verification

_BUNDLE = PathName()
_PUSHED = "pushed"


@click.command()
@click.argument("bundle", type=_BUNDLE)
@click.argument("to", metavar="REGISTRY")
@click.option("--include", multiple=True, metavar="GLOB", help="Push only what matches, as repository:tag.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches, as repository:tag.")
@click.option("--strip-components", type=click.IntRange(0, 1000), help="Leading folders to drop from every path.")
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Blobs under way at once.")
@click.option(
    "--work",
    type=_BUNDLE,
    default=Path("/var/tmp"),  # noqa: S108  # on a disk, which /tmp often is not
    show_default=True,
    help="Where blobs of a stream wait.",
)
@click.option(
    "--spool", type=click.IntRange(0, 1024**3), default=4096, show_default=True, metavar="MB", help="So many of them."
)
@report_option
@verify_options
@credential_options
def push(
    bundle: Path,
    to: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    strip_components: int | None,
    jobs: int,
    work: Path,
    spool: int,
    report: Path | None,
    verify: bool | None,  # noqa: FBT001
    cosign_key: str | None,
    cosign_signature: Path | None,
    credentials: Credentials,
) -> None:
    """Push BUNDLE to any registry, https://HOST[:PORT][/PREFIX] or docker://…, straight from the file.

    The signature is checked first, in a pass of its own. Nothing is unpacked: blobs of a plain tar go from where
    they lie; those of a compressed one wait below --work, --spool megabytes or one blob at a time. What the registry
    has is passed over; run it again after any interruption.
    """
    interrupt_on_signals()
    address = Address.parse(to)
    access = credentials.access((to,), jobs)
    prove_before_use(bundle, Verification(verify, cosign_key, cosign_signature))
    started = time.monotonic()
    with Source(bundle, strip_components) as source, closing(access.connect(address)) as client:
        begun = datetime.now(UTC).isoformat(timespec="seconds")
        told = Report(source.name, Origin(source.file_name, source.size, begun))
        run = Push(source, RegistryTarget(client), Selection(include, exclude), access.endurance, jobs)
        outcomes = list(_tell(run.outcomes(work, spool * 1_000_000), told))
    if report is not None:
        told.write(report, outcomes)
    click.echo(f"{told.summary(time.monotonic() - started, _PUSHED)}; {human(run.sent)} sent to {address}")
    _require_success(told)


def _tell(outcomes: Iterator[Outcome], told: Report) -> Iterator[Outcome]:
    for outcome in outcomes:
        told.add(outcome)
        click.echo(_line(outcome, told))
        yield outcome


def _require_success(told: Report) -> None:
    if told.failures:
        raise LoaderError(f"{len(told.failures)} of {told.members} members failed: see above, and push again")
    if not told.members:
        raise BundleInvalid(f"{told.bundle} holds no image or chart: is it the airgap bundle?")
    if not told.images:
        raise LoaderError(f"nothing in {told.bundle} is wanted: 'k0rdentd bundle inspect' lists what there is")


def _line(outcome: Outcome, report: Report) -> str:
    name = printable(str(outcome.reference or outcome.path))
    did = _PUSHED if outcome.status is Status.LOADED else outcome.status.value
    tail = f": {printable(outcome.error)}" if outcome.error else f" {human(outcome.size)}"
    return f"[{report.members}] {did} {name}{tail}"
