"""What the installer's commands share on the command line."""

import logging
import os
from pathlib import Path

import click

from installer.settings import Settings
from installer.settings_file import Loaded, load_settings

_log = logging.getLogger(__name__)


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
    """The same, with a warning in the log for each remark.

    Raises:
        ConfigurationInvalid: they do not do.
    """
    loaded = load_here(context)
    for remark in loaded.remarks:
        _log.warning("%s", remark)
    return loaded.settings
