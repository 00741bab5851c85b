"""What a command finds when it begins: the log as it was asked for, and the configuration file as its defaults."""

import logging.config
from collections.abc import Mapping
from pathlib import Path

import click

from installer.config import ConfigurationInvalid, option_defaults, read_config, refuse_unknown_sections
from registry.config import LogSettings, logging_config

# Options of the root command, and what the configuration file calls them.
_LOG_KEYS = {"debug": "debug", "log_level": "logLevel", "log_format": "logFormat"}
# They read the file for themselves, since they must also work where it is broken.
_NO_FILE_NEEDED = frozenset({"config", "support-bundle"})
_EARLIER_WORDS = {"warn": "warning"}


def prepare(ctx: click.Context, config_file: Path, level: str, form: str) -> None:
    """Fill in the context of the root command.

    Raises:
        ConfigurationInvalid: the file cannot be used as it is.
    """
    ctx.obj = LogSettings(level, form)
    logging.config.dictConfig(logging_config(ctx.obj))
    if ctx.invoked_subcommand in _NO_FILE_NEEDED:
        return
    root = ctx.command
    assert isinstance(root, click.Group)
    said = ctx.get_parameter_source("config_file") is not click.core.ParameterSource.DEFAULT
    sections = read_config(config_file, required=said)
    refuse_unknown_sections(sections, frozenset(root.list_commands(ctx)), config_file)
    ctx.obj = _log_settings(ctx, sections, config_file)
    logging.config.dictConfig(logging_config(ctx.obj))
    commands = {name: root.get_command(ctx, name) for name in sections}
    ctx.default_map = {
        name: option_defaults(sections[name], name, command, config_file)
        for name, command in commands.items()
        if command is not None
    }


def _log_settings(ctx: click.Context, sections: Mapping[str, object], path: Path) -> LogSettings:
    """What is said, and for the rest the file; its mistakes are told as those of options are."""
    found: dict[str, object] = {}
    for option in ctx.command.params:
        name = option.name or ""
        key = _LOG_KEYS.get(name, "")
        found[name] = ctx.params.get(name)
        if key in sections and ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT:
            try:
                found[name] = option.type_cast_value(ctx, _EARLIER_WORDS.get(str(sections[key]), sections[key]))
            except click.BadParameter as error:
                raise ConfigurationInvalid(f"{path}: {key}: {error.message}") from error
    return LogSettings("debug" if found["debug"] else str(found["log_level"]), str(found["log_format"]))
