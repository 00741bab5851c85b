"""`k0rdentd install` and `k0rdentd uninstall`."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from installer import outline
from installer.binary import EmbeddedBinary
from installer.changes import Wait
from installer.errors import InstallFailed, WillNot
from installer.host import Host
from installer.installation import chosen_join, install_steps, is_online, replaces_own
from installer.journal import JOURNAL, has_begun_k0s
from installer.lock import alone
from installer.options import host_options, settings_here
from installer.plan import Planned, Step, apply, plan
from installer.preflight.checks import require_fit
from installer.preflight.completeness import require_images
from installer.preflight_cli import facts_of
from installer.remains import left_of_k0s
from installer.settings import Settings
from installer.settings_types import ChartVersion, K0sVersion
from installer.site import Site, Wishes, survey
from installer.steps.removal import changed_since
from installer.uninstallation import check_clusters, misses_farewell
from registry.path_name import PathName

NOTHING_TO_DO = "nothing to do: all is as it should be"
_ROUNDS = 3
_TOLD = 10
_NO_FAREWELL = (
    "k0s was not there to take leave of other controllers: if there are some, run on one of them "
    "'k0s etcd leave --peer-address ADDRESS', with the address of this machine,"
)


def read_version(kind: Callable[[str], str]) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback that reads a version as `kind`, and refuses in click's words."""

    def read(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
        try:
            return None if text is None else kind(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


@click.command()
@click.option("--dry-run", is_flag=True, envvar="K0RDENTD_DRY_RUN", help="Show all changes, and make none.")
@click.option("--join", is_flag=True, envvar="K0RDENTD_JOIN", help="Join the cluster that the section 'join' names.")
@click.option(
    "--mode",
    type=click.Choice(["controller", "worker"]),
    envvar="K0RDENTD_JOIN_MODE",
    help="With --join: as what. The section 'join' says it too.",
)
@click.option(
    "--k0s-version",
    callback=read_version(K0sVersion.parse),
    envvar="K0RDENTD_K0S_VERSION",
    help="Of those in the registry; the one that is here, or the newest, if left out.",
)
@click.option(
    "--k0rdent-version",
    callback=read_version(ChartVersion.parse),
    envvar="K0RDENTD_K0RDENT_VERSION",
    help="Of those in the registry; the newest if left out.",
)
@click.option(
    "--replace-k0s", is_flag=True, envvar="K0RDENTD_REPLACE_K0S", help="Put k0s in the place of another version of it."
)
@click.option(
    "--k0s-binary",
    type=PathName(dir_okay=False),
    envvar="K0RDENTD_K0S_BINARY",
    help="An executable of k0s; the registry's, or with --online the one of k0s' releases, if left out.",
)
@click.option(
    "--online/--airgap",
    default=None,
    envvar="K0RDENTD_ONLINE",
    help="Whether all comes from the internet, or from the registry of this site.  "
    "[default: as this machine was installed; else airgap, or online of the online executable where no setting of "
    "'airgap' says otherwise]",
)
@click.option(
    "--skip-preflight",
    is_flag=True,
    envvar="K0RDENTD_SKIP_PREFLIGHT",
    help="Begin even where preflight tells something fatal: of the machine, or of images that are missing.",
)
@host_options
@click.pass_context
def install(
    context: click.Context,
    dry_run: bool,  # noqa: FBT001
    join: bool,  # noqa: FBT001
    mode: str | None,
    k0s_version: K0sVersion | None,
    k0rdent_version: ChartVersion | None,
    replace_k0s: bool,  # noqa: FBT001
    k0s_binary: Path | None,
    online: bool | None,  # noqa: FBT001
    skip_preflight: bool,  # noqa: FBT001
    host: Host,
) -> None:
    """Install k0s and k0rdent on this machine, or join it to a cluster.

    It may be interrupted at any time: the same command goes on, and does only what is left to be done.
    """
    if mode and not join:
        raise click.UsageError("--mode is for --join")
    settings = settings_here(context)
    joining = chosen_join(settings, mode if join else None, join=join)
    from_internet = is_online(host, settings) if online is None else online
    wishes = Wishes(from_internet, k0s_version, k0rdent_version, replace_k0s, k0s_binary, EmbeddedBinary.find())
    if dry_run:
        show(host, plan(host, install_steps(host, survey(host, settings, wishes), joining)))
        if not (skip_preflight or has_begun(host)):
            _foretell_refusal(host, settings)
        return
    require_root()
    with alone(host):
        site = survey(host, settings, wishes) if skip_preflight else _checked_survey(host, settings, wishes)
        carry_out(host, install_steps(host, site, joining))
    more = "" if join else ", 'k0rdentd expose-ui' opens the user interface"
    click.echo(f"installed: 'k0rdentd status' tells how it is{more}")


@click.command()
@click.option("--dry-run", is_flag=True, envvar="K0RDENTD_DRY_RUN", help="Show all changes, and make none.")
@click.option(
    "--force",
    is_flag=True,
    envvar="K0RDENTD_FORCE",
    help="Even if k0rdent still manages clusters, and files were changed since the installation.",
)
@host_options
def uninstall(dry_run: bool, force: bool, host: Host) -> None:  # noqa: FBT001
    """Take k0s and k0rdent off this machine; every file becomes what it was before. The registry's store stays."""
    if dry_run:
        if _is_to_be_removed(host, force=force):
            show(host, plan(host, outline.removal(force=force)))
        return
    require_root()
    with alone(host):
        if not _is_to_be_removed(host, force=force):
            return
        had_k0s, is_missed = has_begun_k0s(host), misses_farewell(host)
        carry_out(host, outline.removal(force=force))
    _tell_left(host, left_of_k0s(host) if had_k0s else ())
    if is_missed:
        click.echo(f"{_NO_FAREWELL} and 'k0s kubectl delete node {host.name()}'", err=True)
    click.echo("uninstalled: restart the machine to be rid of what only a restart removes, such as network interfaces")


def _is_to_be_removed(host: Host, *, force: bool) -> bool:
    """Whether there is anything of ours; tells it if not.

    Raises:
        WillNot: clusters would lose their manager.
    """
    if not has_begun(host):
        click.echo("nothing to do: k0rdentd has installed nothing on this machine")
        return False
    if not force:
        check_clusters(host)
    return True


def _tell_left(host: Host, folders: Iterable[str]) -> None:
    """What somebody has to look after by hand."""
    for record in changed_since(host):
        kept = f"; what was there before is {record.content}" if record.digest else ""
        click.echo(f"left {record.path}: somebody changed it since the installation{kept}", err=True)
    for left in folders:
        click.echo(f"left {left}", err=True)


def _foretell_refusal(host: Host, settings: Settings) -> None:
    """A plan is shown on any machine, and told with it that it would not begin on this one."""
    try:
        require_fit(facts_of(host, settings), settings)
    except WillNot as refusal:
        click.echo(f"k0rdentd: 'install' would refuse: {refusal}", err=True)


def _checked_survey(host: Host, settings: Settings, wishes: Wishes) -> Site:
    """What is to be installed, where nothing stands against it; what has begun goes on as it is.

    Raises:
        WillNot: something does.
    """
    begun = has_begun(host)
    if not begun:
        require_fit(facts_of(host, settings), settings)
    site = survey(host, settings, wishes)
    if not begun or replaces_own(host, site):
        _look_for_images(host, site)
    return site


def _look_for_images(host: Host, site: Site) -> None:
    """Know that the registry has what k0s starts; what only charts name is told.

    Raises:
        WillNot: the registry does not have it.
    """
    if site.registry is None:
        return
    found = require_images(host, site.registry, site.settings, site.k0s)
    for each in found[:_TOLD]:
        click.echo(f"{each.severity}: {each.check}: {each}", err=True)
    if len(found) > _TOLD:
        click.echo(f"{len(found) - _TOLD} more warnings: 'k0rdentd preflight' lists them", err=True)


def has_begun(host: Host) -> bool:
    """Whether k0rdentd changed anything here: what it took since, such as room on the disk, is no obstacle."""
    return host.look(JOURNAL) is not None


def show(host: Host, planned: Sequence[Planned]) -> None:
    """All that would be done, and what it makes of the files that are there."""
    title = ""
    for each in planned:
        if each.step != title:
            title = each.step
            click.echo(title)
        click.echo(f"  {each.change.describe()}")
        for line in each.change.difference(host):
            click.echo(f"    {line}")
    click.echo(f"{len(planned)} changes; nothing was changed" if planned else NOTHING_TO_DO)


def carry_out(host: Host, steps: Sequence[Step]) -> bool:
    """Do all that is to be done, and know that nothing is left; tells whether there was anything.

    Raises:
        InstallFailed: something is.
    """
    first = planned = plan(host, steps)
    for _ in range(_ROUNDS):
        for told in apply(host, planned):
            what = told.note or f"{told.planned.step}: {told.planned.change.describe()}"
            click.echo(f"[{told.number}/{told.total}] {what}")
        planned = plan(host, steps)
        if not planned or not all(isinstance(each.change, Wait) for each in planned):
            break  # what was ready for a moment is waited for once more; nothing else has to be done twice
    if planned:
        raise InstallFailed(
            f"{len(planned)} changes had to be made again, the first one: {planned[0].change.describe()}; "
            "run the same command again, and see what undoes them"
        )
    return bool(first)


def require_root() -> None:
    """Only root changes a machine.

    Raises:
        WillNot: somebody else tries.
    """
    if os.geteuid() != 0:
        raise WillNot("only root may do this: run it with sudo, or look at it with --dry-run")
