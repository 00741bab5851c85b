"""The `k0rdentd` command: it collects the commands of every package, and is the door at which failures end.

A command's module is imported only when that command is asked for, so that `k0rdentd version`
costs no falcon, lmdb or gunicorn.
"""

import logging.config
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import click

from installer.config import (
    DEFAULT_CONFIG_FILE,
    ConfigurationInvalid,
    option_defaults,
    read_config,
    refuse_unknown_sections,
)
from registry.config import LogSettings, logging_config
from registry.lazy_group import LazyGroup
from registry.oci.errors import Failure

_COMMANDS: Mapping[str, str] = {
    "bench": "bench.cli:bench",
    "bundle": "loader.bundle_cli:bundle",
    "config": "installer.config_cli:config",
    "doctor": "installer.status_cli:doctor",
    "expose-ui": "installer.expose_cli:expose_ui",
    "export-join-config": "installer.export_cli:export_join_config",
    "export-worker-artifacts": "installer.export_cli:export_worker_artifacts",
    "install": "installer.install_cli:install",
    "load": "loader.cli:load",
    "preflight": "installer.preflight_cli:preflight",
    "registry": "registry.cli:registry",
    "self": "installer.self_cli:own",
    "show-flavor": "installer.cli:show_flavor",
    "status": "installer.status_cli:status",
    "store": "registry.store_cli:store",
    "support-bundle": "installer.support_cli:bundle",
    "uninstall": "installer.install_cli:uninstall",
    "upgrade": "installer.upgrade_cli:upgrade",
    "version": "installer.cli:version",
}
# Options of the root command, and what the configuration file calls them.
_LOG_KEYS = {"debug": "debug", "log_level": "logLevel", "log_format": "logFormat"}
# They read the file for themselves, since they must also work where it is broken.
_NO_FILE_NEEDED = frozenset({"config", "support-bundle"})
_EARLIER_WORDS = {"warn": "warning"}
_USAGE = 2
_INTERRUPTED = 130


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "-c",
    "--config-file",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG_FILE,
    show_default=True,
    envvar="K0RDENTD_CONFIG_FILE",
    show_envvar=True,
    help="Settings; flags and environment variables win over them.",
)
@click.option(
    "--debug", is_flag=True, envvar="K0RDENTD_DEBUG", show_envvar=True, help="Log everything, and show tracebacks."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="K0RDENTD_LOG_LEVEL",
    show_envvar=True,
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def root(ctx: click.Context, config_file: Path, debug: bool, log_level: str, log_format: str) -> None:  # noqa: FBT001
    """k0s and k0rdent on machines without internet: load a bundle, serve it, install from it."""
    ctx.obj = LogSettings("debug" if debug else log_level, log_format)
    logging.config.dictConfig(logging_config(ctx.obj))
    name = ctx.invoked_subcommand or ""
    if name in _NO_FILE_NEEDED:
        return
    said = ctx.get_parameter_source("config_file") is not click.core.ParameterSource.DEFAULT
    sections = read_config(config_file, required=said)
    refuse_unknown_sections(sections, frozenset(_COMMANDS), config_file)
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


def main() -> None:
    """Run a command line; leave with the exit code that requirements.md gives its outcome."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line; failures are told on standard error, each in one sentence."""
    try:
        outcome = root.main(arguments, prog_name="k0rdentd", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return _USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("k0rdentd: interrupted; run it again to go on", err=True)
        return _INTERRUPTED
    except Failure as error:
        return _tell(str(error), error, error.exit_code, arguments)
    except Exception as error:  # noqa: BLE001  # the last door: an operator gets a sentence
        return _tell(f"internal error: {error!r}; run it with --debug to see where", error, 1, arguments)
    return outcome if isinstance(outcome, int) else 0


def _tell(sentence: str, error: Exception, code: int, arguments: list[str]) -> int:
    click.echo(f"k0rdentd: {sentence}", err=True)
    if "--debug" in arguments or logging.getLogger().isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    return code


if __name__ == "__main__":
    main()
