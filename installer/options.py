"""What the installer's commands share on the command line."""

import logging
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from installer.host import Host
from installer.settings import Settings
from installer.settings_file import Loaded, anchored, load_settings
from registry.path_name import PathName

_log = logging.getLogger(__name__)
_host_options = (
    click.option(
        "--root",
        type=PathName(exists=True, file_okay=False),
        default=Path("/"),
        hidden=True,
        envvar="K0RDENTD_ROOT",
        help="A folder that stands for the whole machine.",
    ),
    click.option(
        "--own-address",
        hidden=True,
        envvar="K0RDENTD_OWN_ADDRESS",
        help="By which others reach this machine, where that is not the address of its default route.",
    ),
    click.option("--pace", type=float, default=2.0, hidden=True, envvar="K0RDENTD_PACE", help="Seconds between looks."),
)


def load_here(context: click.Context) -> Loaded:
    """The settings that this command line's --config-file and environment give.

    Raises:
        ConfigurationInvalid: they do not do.
    """
    root = context.find_root()
    said = root.get_parameter_source("config_file") is not click.core.ParameterSource.DEFAULT
    path = root.params["config_file"]
    assert isinstance(path, Path)
    return load_settings(path, os.environ, required=said)


def settings_here(context: click.Context) -> Settings:
    """The same, with a warning in the log for each remark, and with an export's paths as seen from its folder.

    Raises:
        ConfigurationInvalid: they do not do.
    """
    loaded = load_here(context)
    for remark in loaded.remarks:
        _log.warning("%s", remark)
    return anchored(loaded.settings, context.find_root().params["config_file"].absolute().parent)


def host_options(command: Callable[..., object]) -> Callable[..., object]:
    """Which machine is meant, for tests and for machines with several addresses: the command gets it as `host`."""

    @wraps(command)
    def call(*values: object, root: Path, own_address: str | None, pace: float, **options: object) -> object:
        return command(*values, host=Host(root, pace=pace, own_address=own_address), **options)

    made: Callable[..., object] = call
    for option in _host_options:
        made = option(made)
    return made
