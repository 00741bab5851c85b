"""The options of `k0rdentd registry`, and the settings that they make."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from registry.config import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_THREADS,
    Limits,
    LogSettings,
    RegistrySettings,
    SettingInvalid,
    TlsSettings,
    default_workers,
)
from registry.options import Command, storage_option, tls_options, verify_options
from registry.path_name import PathName
from registry.variables import name_variables
from registry.verification import Verification

_LIMITS: Final = Limits()

_OPTIONS = (
    click.option(
        "-p",
        "--port",
        type=click.IntRange(1, 65535),
        default=DEFAULT_PORT,
        show_default=True,
        envvar="K0RDENTD_REGISTRY_PORT",
    ),
    click.option("-H", "--host", default=DEFAULT_HOST, show_default=True, envvar="K0RDENTD_REGISTRY_HOST"),
    storage_option,
    click.option(
        "-b",
        "--bundle-path",
        type=PathName(),
        envvar="K0RDENTD_AIRGAP_BUNDLE_PATH",
        help="Bundle to load while serving; not needed once the storage holds its content.",
    ),
    verify_options,
    click.option("--workers", type=click.IntRange(1, 64), default=default_workers, help="Serving processes."),
    click.option(
        "--threads", type=click.IntRange(1, 1024), default=DEFAULT_THREADS, show_default=True, help="Threads of each."
    ),
    click.option(
        "--push",
        type=click.Choice(["off", "authenticated", "anonymous"]),
        help="Who may push and delete.  [default: off, or authenticated with --htpasswd]",
    ),
    click.option(
        "--pull",
        type=click.Choice(["authenticated", "anonymous"]),
        default="anonymous",
        show_default=True,
        help="Who may pull.",
    ),
    click.option(
        "--htpasswd",
        type=PathName(),
        envvar="K0RDENTD_REGISTRY_HTPASSWD",
        help="Users, with bcrypt hashes; read again when it changes.",
    ),
    tls_options,
    click.option(
        "--files",
        type=PathName(),
        envvar="K0RDENTD_REGISTRY_FILES",
        help="Directory whose files are served at /files/ too, beside k0s from its images in the store; to anybody.",
    ),
    click.option(
        "--max-manifest-size",
        type=click.IntRange(4 * 1024 * 1024, 1024**3),
        default=_LIMITS.manifest,
        show_default=True,
        metavar="BYTES",
    ),
    click.option(
        "--max-blob-size", type=click.IntRange(1, 1024**5), default=_LIMITS.blob, show_default=True, metavar="BYTES"
    ),
    click.option(
        "--max-uploads",
        type=click.IntRange(1, 1_000_000),
        default=_LIMITS.uploads,
        show_default=True,
        help="Uploads open at once.",
    ),
    click.option(
        "--upload-expiry",
        type=click.IntRange(60, 366 * 24 * 3600),
        default=_LIMITS.upload_age,
        show_default=True,
        metavar="SECONDS",
        help="When an upload to which nothing is added is forgotten.",
    ),
    click.option(
        "--idle-timeout",
        type=click.IntRange(1, 24 * 3600),
        default=_LIMITS.idle,
        show_default=True,
        metavar="SECONDS",
        help="When a client that neither sends nor takes a byte is cut off.",
    ),
    click.option(
        "--access-log/--no-access-log",
        default=None,
        envvar="K0RDENTD_REGISTRY_ACCESS_LOG",
        help="A line for each request.  [default: only with --debug]",
    ),
    click.option("-d", "--background", is_flag=True, help="Detach; a systemd unit is the better way."),
    click.option(
        "--pid-file",
        type=PathName(),
        envvar="K0RDENTD_REGISTRY_PID_FILE",
        help="Where to write the process id, for SIGTERM and SIGHUP.",
    ),
)


def serving_options(command: Command) -> Command:
    """All that can be said of serving, in the order in which help shows it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings_from_environment() -> RegistrySettings:
    """What the environment variables of `k0rdentd registry` say, for a gunicorn of one's own.

    Raises:
        SettingInvalid: a value cannot be used, or they do not go together.
    """
    command = serving_options(click.Command("registry"))
    name_variables(command, ("registry",))
    try:
        given = command.make_context("registry", []).params
    except click.ClickException as error:
        raise SettingInvalid(error.format_message()) from error
    return chosen_settings(LogSettings(), given)


def chosen_settings(log: LogSettings, given: Mapping[str, Any]) -> RegistrySettings:
    """What the values of `serving_options` mean together.

    Raises:
        SettingInvalid: they do not go together.
    """
    access_log = given["access_log"]
    return RegistrySettings(
        log=replace(log, requests=log.level == "debug" if access_log is None else access_log),
        storage=given["storage"],
        host=given["host"],
        port=given["port"],
        bundle=_resolved(given["bundle_path"]),
        verification=Verification(given["verify"], given["cosign_key"], given["cosign_signature"]).absolute(),
        workers=given["workers"],
        threads=given["threads"],
        background=given["background"],
        pull=given["pull"],
        push=given["push"] or ("authenticated" if given["htpasswd"] else "off"),
        htpasswd=given["htpasswd"],
        limits=_limits(given),
        tls=_tls(given),
        files=_resolved(given["files"]),
        pid_file=_resolved(given["pid_file"]),
    )


def _limits(given: Mapping[str, Any]) -> Limits:
    return Limits(
        manifest=given["max_manifest_size"],
        blob=given["max_blob_size"],
        uploads=given["max_uploads"],
        upload_age=given["upload_expiry"],
        idle=given["idle_timeout"],
    )


def _tls(given: Mapping[str, Any]) -> TlsSettings:
    return TlsSettings.choose(
        given["tls"],
        given["plain_http"],
        cert=given["tls_cert"],
        key=given["tls_key"],
        sans=given["tls_san"],
        client_ca=given["tls_client_ca"],
    )


def _resolved(path: Path | None) -> Path | None:
    return path.resolve() if path else None
