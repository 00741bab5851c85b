"""What is wrong with a machine and its installation, and what to do about each."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from installer.certificates import Certificate, certificates
from installer.errors import InstallFailed
from installer.host import Host
from installer.journal import JOURNAL, records
from installer.k0s import installed_role
from installer.ledger import missing_images
from installer.paths import STARTED_WITH
from installer.preflight import machine_checks, network_checks
from installer.preflight.facts import Facts
from installer.preflight.finding import Finding, fatal, note, warning
from installer.settings import Settings
from installer.status import TRUSTED, State, status

_GIB = 1024**3
_SOON = timedelta(days=30)
_TOLD = 20
_UNDO = "'k0rdentd install --dry-run' shows what is different, and 'k0rdentd install' makes it as it was"
# What can go wrong after an installation too.
_CHECKS = (
    machine_checks.check_user,
    machine_checks.check_clock,
    machine_checks.check_name,
    machine_checks.check_swap,
    network_checks.check_proxy,
)


def diagnose(host: Host, facts: Facts, settings: Settings) -> Iterator[Finding]:
    """Everything found; nothing if all is well."""
    installed = installed_role(host) is not None
    for aspect in status(host, settings):
        if aspect.state is State.TROUBLE:
            yield (fatal if installed else warning)(aspect.part, aspect.what, aspect.fix)
        elif aspect.state is State.ABSENT:
            yield note(aspect.part, aspect.what, "'k0rdentd install' installs it")
    yield from _files(host)
    for check in _CHECKS:
        yield from check(facts, settings)
    yield from _space(facts)
    roots = settings.storage_roots
    for certificate in certificates(host, roots, settings.airgap.registry.ca_file):
        yield from _validity(certificate, facts.now)
    yield from _missing(host, roots)


def _files(host: Host) -> Iterator[Finding]:
    """What an installation wrote, and somebody changed or took away since."""
    if host.look(JOURNAL) is None:
        return
    if host.look(STARTED_WITH) is None:
        yield warning("files", "an installation began here and was not finished", "'k0rdentd install' goes on with it")
        return
    try:
        found = sorted(records(host), key=lambda each: each.path)
    except InstallFailed as error:
        yield warning("files", str(error), "without its journal, nobody knows what an uninstallation has to bring back")
        return
    for record in found:
        if record.is_gone(host) and record.path not in TRUSTED:  # of those the status tells
            yield warning(
                "files", f"{record.path} is gone since the installation", "'k0rdentd install' writes it again"
            )
        elif not record.is_ours(host):
            what = f"{record.path} is not as the installation wrote it: somebody changed it"
            yield warning("files", what, _UNDO)


def _space(facts: Facts) -> Iterator[Finding]:
    for place, space in facts.spaces.items():
        if space.free < _GIB:
            fix = "'k0rdentd store gc' frees what nothing names; k0s' images go when pods no longer need them"
            yield fatal("disk", f"{space.free / _GIB:.1f} GiB are free for {place}", fix)
        elif space.free < 5 * _GIB:
            yield warning("disk", f"{space.free / _GIB:.1f} GiB are free for {place}", "make room before it is full")


def _validity(certificate: Certificate, now: datetime) -> Iterator[Finding]:
    path, end = certificate.path, f"{certificate.ends:%Y-%m-%d}"
    if now < certificate.begins:
        yield fatal("certificates", f"{path} is good from {certificate.begins:%Y-%m-%d} only", "set the clock")
    elif now >= certificate.ends:
        yield fatal("certificates", f"{path} ended on {end}", _renewal(path))
    elif now >= certificate.ends - _SOON:
        yield warning("certificates", f"{path} ends on {end}", _renewal(path))


def _renewal(path: Path) -> str:
    if path.is_relative_to("/var/lib/k0s"):
        return "restart k0s: it signs its own anew when it starts"
    if path.name == "server.pem":
        return "start the registry: it signs its own anew while it runs"
    return "have its authority sign a new one"


def _missing(host: Host, roots: tuple[Path, ...]) -> Iterator[Finding]:
    try:
        found = missing_images(host, roots)
    except InstallFailed as error:
        yield warning("images", str(error), "look at it with 'k0rdentd store missing'")
        return
    for each in found[:_TOLD]:
        what = f"{each.image} was asked for {each.count} times in vain, last at {each.last} by {each.client}"
        yield warning("images", what, "load a bundle that has it, or copy it ('k0rdentd store copy')")
    if len(found) > _TOLD:
        yield note("images", f"{len(found) - _TOLD} more are missing", "'k0rdentd store missing' lists them")
