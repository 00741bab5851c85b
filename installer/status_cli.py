"""`k0rdentd status` and `k0rdentd doctor`."""

import json
from dataclasses import asdict

import click

from installer.doctor import diagnose
from installer.host import Host
from installer.options import host_options, settings_here
from installer.preflight.finding import Severity
from installer.preflight_cli import facts_of, show
from installer.status import State
from installer.status import status as aspects

_json = click.option("--json", "as_json", is_flag=True, help="One JSON document in place of lines.")
_FAILED = 1


@click.command()
@_json
@host_options
@click.pass_context
def status(context: click.Context, as_json: bool, host: Host) -> int:  # noqa: FBT001
    """Tell what is installed on this machine, and whether it works; exit with 1 if a part does not."""
    found = list(aspects(host, settings_here(context)))
    ok = all(each.state is not State.TROUBLE for each in found)
    if as_json:
        click.echo(json.dumps({"ok": ok, "parts": [asdict(each) for each in found]}))
    else:
        for each in found:
            click.echo(f"{each.part:12}{each.state:8}{each.what}")
            if each.fix:
                click.echo(f"{'':20}→ {each.fix}")
    return 0 if ok else _FAILED


@click.command()
@_json
@host_options
@click.pass_context
def doctor(context: click.Context, as_json: bool, host: Host) -> int:  # noqa: FBT001
    """Tell all that is wrong with this machine and its installation, and what to do about it.

    Exit with 1 if something of it keeps the cluster from working.
    """
    settings = settings_here(context)
    found = tuple(diagnose(host, facts_of(host, settings), settings))
    show(found, as_json=as_json, well="all is well")
    return _FAILED if any(each.severity is Severity.FATAL for each in found) else 0
