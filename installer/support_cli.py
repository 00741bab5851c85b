"""`k0rdentd support-bundle`."""

import os
from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path

import click

from installer.config import ConfigurationInvalid
from installer.errors import WillNot
from installer.host import Host
from installer.options import host_options, settings_here
from installer.preflight_cli import facts_of
from installer.redaction import Redactor
from installer.settings import Settings
from installer.support import collect, known_secrets, support_bundle
from registry.path_name import PathName


@click.command("support-bundle")
@click.option(
    "-o",
    "--output",
    type=PathName(dir_okay=False),
    help="Where to write it.  [default: k0rdentd-support-HOST-TIME.tar.gz]",
)
@host_options
@click.pass_context
def bundle(context: click.Context, output: Path | None, host: Host) -> None:
    """Write settings, states and logs of this machine into one archive, without secrets, for somebody who helps."""
    name = f"k0rdentd-support-{host.name()}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    target = output or Path(f"{name}.tar.gz")
    settings = _settings(context)
    config = Path(os.path.abspath(context.find_root().params["config_file"]))
    redactor = Redactor(known_secrets(settings))
    partial = target.with_name(f"{target.name}.partial")
    with _private(partial) as file:
        parts = collect(host, settings, facts_of(host, settings), config)
        for part in support_bundle(parts, redactor, name, file):
            click.echo(part, err=True)
    partial.rename(target)
    click.echo(f"{target}: secrets are masked; look through it all the same before you hand it on")


def _private(path: Path) -> BufferedWriter:
    """A new file that only this user may read.

    Raises:
        WillNot: it cannot be written there.
    """
    try:
        path.unlink(missing_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise WillNot(f"cannot write {path}: {error.strerror}; say another place with --output") from error


def _settings(context: click.Context) -> Settings:
    """Of a file that cannot be used, the defaults: that is when help is needed most."""
    try:
        return settings_here(context)
    except ConfigurationInvalid as error:
        click.echo(f"k0rdentd: {error}; going on with default settings", err=True)
        return Settings()
