"""Command-line options that several commands share."""

from pathlib import Path

import click

from registry.config import DEFAULT_STORAGE

storage_option = click.option(
    "-s",
    "--storage",
    type=click.Path(path_type=Path),
    multiple=True,
    default=(DEFAULT_STORAGE,),
    show_default=True,
    envvar="K0RDENTD_REGISTRY_STORAGE",
    help="Storage root; repeat it to spread blobs over several (in the environment: with colons between).",
)
