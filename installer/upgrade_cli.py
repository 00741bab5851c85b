"""`k0rdentd upgrade`: k0s on this host, or k0rdent on its cluster."""

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from installer.binary import EmbeddedBinary
from installer.errors import CommandFailed
from installer.host import Host
from installer.install_cli import NOTHING_TO_DO, carry_out, read_version, require_root, show
from installer.lock import alone
from installer.options import host_options, settings_here
from installer.plan import Step, plan
from installer.settings import Settings
from installer.settings_types import ChartVersion, K0sVersion
from installer.site import Wishes
from installer.upgrade import k0rdent_steps, k0s_steps
from registry.lazy_group import LazyGroup
from registry.path_name import PathName
from registry.program import child_command

_dry_run = click.option("--dry-run", is_flag=True, envvar="K0RDENTD_DRY_RUN", help="Show all changes, and make none.")
_bundle = click.option(
    "-b",
    "--bundle-path",
    "bundle",
    type=PathName(),
    help="A bundle to load into this machine's registry first, as 'k0rdentd load' does.",
)


@click.group(cls=LazyGroup)
def upgrade() -> None:
    """Bring k0s or k0rdent to another version.

    Load the new bundle first, or name it here. k0s goes one minor version at a time, controllers before workers.
    If it is interrupted, the same command goes on.
    """


@upgrade.command()
@click.option(
    "--version",
    callback=read_version(K0sVersion.parse),
    required=True,
    help="Of those that the registry has, or online of k0s' releases; such as v1.33.4+k0s.0.",
)
@click.option(
    "--k0s-binary",
    type=PathName(dir_okay=False),
    envvar="K0RDENTD_K0S_BINARY",
    help="An executable of that k0s; the registry's, or online the one of k0s' releases, if left out.",
)
@click.option(
    "--skip-preflight",
    is_flag=True,
    envvar="K0RDENTD_SKIP_PREFLIGHT",
    help="Begin even where the registry lacks images of that k0s.",
)
@_bundle
@_dry_run
@host_options
@click.pass_context
def k0s(
    context: click.Context,
    version: K0sVersion,
    k0s_binary: Path | None,
    skip_preflight: bool,  # noqa: FBT001
    bundle: Path | None,
    dry_run: bool,  # noqa: FBT001
    host: Host,
) -> None:
    """Bring k0s on this host to another version; its pods go on meanwhile, its API does not."""
    wishes = Wishes(k0s_version=version, k0s_binary=k0s_binary, embedded=EmbeddedBinary.find())
    _upgrade(context, host, bundle, wishes, partial(k0s_steps, any_images=skip_preflight), dry_run=dry_run)


@upgrade.command()
@click.option(
    "--version",
    callback=read_version(ChartVersion.parse),
    help="Of those that the registry has; the newest if left out.",
)
@_bundle
@_dry_run
@host_options
@click.pass_context
def k0rdent(
    context: click.Context,
    version: ChartVersion | None,
    bundle: Path | None,
    dry_run: bool,  # noqa: FBT001
    host: Host,
) -> None:
    """Bring k0rdent on the cluster of this controller to another release; clusters that it manages stay as they are."""
    _upgrade(context, host, bundle, Wishes(k0rdent_version=version), k0rdent_steps, dry_run=dry_run)


def _upgrade(
    context: click.Context,
    host: Host,
    bundle: Path | None,
    wishes: Wishes,
    steps: Callable[[Host, Settings, Wishes], Sequence[Step]],
    *,
    dry_run: bool,
) -> None:
    settings = settings_here(context)
    loading = None if bundle is None else _loading(context, settings, bundle)
    if dry_run:  # it plans with what the registry has so far
        if loading is not None:
            click.echo(f"would run '{' '.join(loading)}'")
        show(host, plan(host, steps(host, settings, wishes)))
        return
    require_root()
    with alone(host):
        if loading is not None:
            _load(loading)
        is_other = carry_out(host, steps(host, settings, wishes))
    click.echo("upgraded: 'k0rdentd status' tells how it is" if is_other else NOTHING_TO_DO)


def _loading(context: click.Context, settings: Settings, bundle: Path) -> list[str]:
    """The command that loads the bundle into the registry of this machine."""
    roots = settings.storage_roots if settings.registry.get("storage") else ()
    config = context.find_root()
    given = config.get_parameter_source("config_file") is not click.core.ParameterSource.DEFAULT
    options = ["-c", str(config.params["config_file"])] if given else []
    storage = [word for root in roots for word in ("-s", str(root))]
    return [*child_command(), *options, "load", str(bundle), *storage]


def _load(command: Sequence[str]) -> None:
    """It says itself how far it is."""
    click.echo(f"run '{' '.join(command)}'")
    if (code := subprocess.run(command, check=False).returncode) != 0:
        raise CommandFailed(f"the bundle was not loaded (exit code {code}), and nothing was upgraded")
