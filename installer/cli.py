"""`k0rdentd version`."""

import json
import platform
from importlib.metadata import version as distribution_version

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--short", is_flag=True, help="The number alone.")
def version(as_json: bool, short: bool) -> None:  # noqa: FBT001
    """Print the version of k0rdentd."""
    number = distribution_version("k0rdentd")
    facts = {"version": number, "python": platform.python_version(), "platform": platform.machine()}
    if as_json:
        click.echo(json.dumps(facts))
    elif short:
        click.echo(number)
    else:
        click.echo(f"k0rdentd {number} (Python {facts['python']}, {facts['platform']})")
