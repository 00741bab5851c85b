"""`k0rdentd expose-ui`."""

import click

from installer.exposure import UiExposed, UiHidden, addresses
from installer.host import Host
from installer.install_cli import carry_out, require_root, show
from installer.kube import Cluster
from installer.lock import alone
from installer.options import host_options, settings_here
from installer.plan import Step, plan


@click.command("expose-ui")
@click.option(
    "--port",
    type=click.IntRange(30000, 32767),
    envvar="K0RDENTD_UI_PORT",
    help="On every node; Kubernetes picks one if left out.",
)
@click.option("--remove", is_flag=True, help="Take that back.")
@click.option("--dry-run", is_flag=True, envvar="K0RDENTD_DRY_RUN", help="Show all changes, and make none.")
@host_options
@click.pass_context
def expose_ui(context: click.Context, port: int | None, remove: bool, dry_run: bool, host: Host) -> None:  # noqa: FBT001
    """Let k0rdent's user interface answer on a port of every node, and print where."""
    namespace = settings_here(context).k0rdent.helm.namespace
    if remove and port is not None:
        raise click.UsageError("--port is for exposing, not for --remove")
    steps: list[Step] = [UiHidden(namespace) if remove else UiExposed(namespace, port)]
    if dry_run:
        show(host, plan(host, steps))
        return
    require_root()
    with alone(host):
        carry_out(host, steps)
    for address in () if remove else addresses(Cluster(host), namespace):
        click.echo(address)
