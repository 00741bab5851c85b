"""The `k0rdentd` command: it collects the commands of every package, and is the door at which failures end.

A command's module is imported only when that command is asked for, so that `k0rdentd version` costs no
falcon, lmdb or gunicorn; nor the configuration file and the log, which it has no use for.
"""

from installer.start import end_on_interrupt, raise_on_interrupt

if __name__ == "__main__":
    end_on_interrupt()  # what follows takes 40 ms

import gc
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from installer.clock import require_clock
from installer.config import DEFAULT_CONFIG_FILE
from installer.streams import end_standard_streams, open_standard_streams, refused_by_machine
from registry.lazy_group import LazyGroup
from registry.oci.errors import Failure
from registry.path_name import PathName

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
# They tell what was built in, whatever this machine's file says.
_NOTHING_NEEDED = frozenset({"show-flavor", "version"})
_USAGE = 2
_MACHINE_FAILED = 4
_INTERRUPTED = 130


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "-c",
    "--config-file",
    type=PathName(),
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
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="K0RDENTD_LOG_FORMAT",
    show_envvar=True,
)
@click.pass_context
def root(ctx: click.Context, config_file: Path, debug: bool, log_level: str, log_format: str) -> None:  # noqa: FBT001
    """k0s and k0rdent on machines without internet: load a bundle, serve it, install from it."""
    if ctx.invoked_subcommand in _NOTHING_NEEDED:
        return
    from installer.invocation import prepare  # noqa: PLC0415  # the log and its settings: 15 ms of 60

    prepare(ctx, config_file, "debug" if debug else log_level, log_format)


def main() -> None:
    """Run a command line; leave with the exit code that requirements.md gives its outcome."""
    open_standard_streams()
    raise_on_interrupt()
    code = run(sys.argv[1:])
    end_on_interrupt()
    end_standard_streams()
    gc.freeze()  # or the interpreter looks through everything for garbage before it ends: 4 ms of 40
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line; failures are told on standard error, each in one sentence."""
    try:
        require_clock()
        outcome = root.main(arguments, prog_name="k0rdentd", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return _USAGE
    except (click.Abort, KeyboardInterrupt):
        return _tell("interrupted; run it again to go on", None, _INTERRUPTED, arguments)
    except Failure as error:
        return _tell(str(error), error, error.exit_code, arguments)
    except Exception as error:  # noqa: BLE001  # the last door: an operator gets a sentence
        if isinstance(error, OSError) and (refusal := refused_by_machine(error)):
            return _tell(refusal, error, _MACHINE_FAILED, arguments)
        return _tell(f"internal error: {error!r}; run it with --debug to see where", error, 1, arguments)
    return outcome if isinstance(outcome, int) else 0


def _tell(sentence: str, error: Exception | None, code: int, arguments: list[str]) -> int:
    shown = error if _is_debugging(arguments) else None
    if _logs_json():
        import logging  # noqa: PLC0415

        logging.getLogger("k0rdentd").error("%s", sentence, exc_info=shown)
        return code
    with suppress(OSError):  # the disk below standard error may be what is full
        click.echo(f"k0rdentd: {sentence}", err=True)
    if shown is not None:
        import traceback  # noqa: PLC0415  # 6 ms that only a failure needs

        traceback.print_exception(shown)
    return code


def _is_debugging(arguments: list[str]) -> bool:
    """Also where the configuration file says so, which only a log that was set up knows."""
    logging = sys.modules.get("logging")
    return "--debug" in arguments or (logging is not None and logging.getLogger().isEnabledFor(logging.DEBUG))


def _logs_json() -> bool:
    """Whether a log was set up, as JSON: then all of standard error is."""
    config = sys.modules.get("registry.config")
    return config is not None and bool(config.is_log_json())


if __name__ == "__main__":
    main()
