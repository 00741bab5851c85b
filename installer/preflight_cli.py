"""`k0rdentd preflight`."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from installer.errors import CommandFailed, SourceUnusable
from installer.host import Host
from installer.installation import is_online
from installer.options import host_options, settings_here
from installer.preflight.checks import findings
from installer.preflight.completeness import check_images
from installer.preflight.facts import Facts, Machine, gather, measure_content
from installer.preflight.finding import Finding, Severity, warning
from installer.preflight.machine_checks import K0S_DATA
from installer.settings import Settings
from installer.site import find_registry

_FAILED = 1
_RESOLVER_PATIENCE = 5.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document in place of lines.")
@click.option(
    "--images/--no-images",
    default=True,
    show_default=True,
    help="Also look whether the registry has every image that k0s and the charts ask for.",
)
@host_options
@click.pass_context
def preflight(
    context: click.Context,
    as_json: bool,  # noqa: FBT001
    images: bool,  # noqa: FBT001
    host: Host,
) -> int:
    """Tell whether this machine will do for an installation, before anything on it is changed.

    Exit with 1 if something makes an installation pointless.
    """
    settings = settings_here(context)
    looks = images and not is_online(host, settings)  # from the internet, images come as they are asked for
    found = (*findings(facts_of(host, settings), settings), *(_images(host, settings) if looks else ()))
    show(found, as_json=as_json)
    return _FAILED if any(each.severity is Severity.FATAL for each in found) else 0


def _images(host: Host, settings: Settings) -> Iterator[Finding]:
    try:
        remote = find_registry(host, settings)
        yield from check_images(host, remote, settings)
    except SourceUnusable as error:
        yield warning("images", f"not looked for: {error}", "or leave them out with --no-images")


def facts_of(host: Host, settings: Settings) -> Facts:
    """Of the machine that is meant."""
    machine = Machine(
        root=host.root,
        user=os.geteuid(),
        architecture=platform.machine(),
        host_name=host.name(),
        now=datetime.now(UTC),
        environment=os.environ,
        name_resolves=_resolves(host),
    )
    roots = () if settings.join else settings.storage_roots
    bundle = None if settings.join else settings.airgap.bundle_path
    content = measure_content(bundle and host.at(bundle.absolute()), [host.at(each.absolute()) for each in roots])
    return gather(machine, (K0S_DATA, *roots), content)


def _resolves(host: Host) -> bool:
    """Whether the machine finds its own name; a name server that does not answer is not waited for."""
    try:
        return host.run(("getent", "ahosts", host.name()), patience=_RESOLVER_PATIENCE).code == 0
    except CommandFailed:
        return False


def show(found: Sequence[Finding], *, as_json: bool, well: str = "nothing stands against an installation") -> None:
    if as_json:
        fatal = any(each.severity is Severity.FATAL for each in found)
        click.echo(json.dumps({"ok": not fatal, "findings": [asdict(each) for each in found]}))
        return
    for each in found:
        click.echo(f"{each.severity:8}{each.check}: {each.what}")
        if each.fix:
            click.echo(f"{'':8}→ {each.fix}")
    counts = [f"{sum(each.severity is kind for each in found)} {kind}" for kind in Severity]
    total = "1 finding" if len(found) == 1 else f"{len(found)} findings"
    click.echo(f"{total}: {', '.join(counts)}" if found else well)
