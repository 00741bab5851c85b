"""`k0rdentd version` and `k0rdentd show-flavor`."""

import json
import platform

import click

from installer.flavor import Flavor


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--short", is_flag=True, help="The number alone.")
def version(as_json: bool, short: bool) -> None:  # noqa: FBT001
    """Print the version of k0rdentd."""
    flavor = Flavor.current()
    number = flavor.version or _installed_version()
    if as_json:
        python = {"python": platform.python_version(), "platform": platform.machine()}
        click.echo(json.dumps({"version": number, **python, **_facts(flavor)}))
    elif short:
        click.echo(number)
    else:
        k0s = f" with k0s {flavor.k0s_version}" if flavor.k0s_version else ""
        click.echo(f"k0rdentd {number} ({flavor.name}{k0s}, Python {platform.python_version()}, {platform.machine()})")


@click.command("show-flavor")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with k0s' version and the build.")
def show_flavor(as_json: bool) -> None:  # noqa: FBT001
    """Print which k0rdentd this is: online, or airgap, which brings k0s along."""
    flavor = Flavor.current()
    click.echo(json.dumps(_facts(flavor)) if as_json else flavor.name)


def _facts(flavor: Flavor) -> dict[str, str | None]:
    return {
        "flavor": flavor.name,
        "k0sVersion": flavor.k0s_version,
        "buildTime": flavor.build_time,
        "commit": flavor.commit,
    }


def _installed_version() -> str:
    from importlib.metadata import version as distribution_version  # noqa: PLC0415  # 10 ms of 60

    return distribution_version("k0rdentd")
