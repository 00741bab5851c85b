"""`k0rdentd registry`."""

import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import click

from registry.api.passwords import Passwords
from registry.config import LogSettings, RegistrySettings, SettingInvalid, inherits_sockets
from registry.held import without_gone_bundle, without_unproven_bundle
from registry.oci.errors import Failure
from registry.options import given_arguments
from registry.pki.certificates import Certificates
from registry.program import child_command, executable, own_command
from registry.serving_options import chosen_settings, serving_options
from registry.storage.roots import is_root, open_root, require_index
from registry.storage.store import Store
from registry.unit import unit

# Set where the settings are wanted and no server.
_FOR_RELOAD = "registry.cli:for_reload"

_log = logging.getLogger(__name__)


class PortUnusable(Failure):
    """Nobody can listen on that address and port, at least not now."""

    exit_code: ClassVar[int] = 4


@click.command()
@serving_options
@click.option("--print-unit", is_flag=True, help="Print a systemd unit for these options, and start nothing.")
@click.pass_obj
def registry(log: LogSettings, /, *, print_unit: bool, **options: Any) -> RegistrySettings | None:
    """Serve the store as an OCI registry, until SIGTERM or Ctrl-C; transfers under way get 30 s to finish.

    What was loaded once is served at once after a restart, without the bundle.
    SIGHUP reads the settings anew, and cuts nobody off.
    """
    settings = chosen_settings(log, options)
    context = click.get_current_context()
    if context.meta.get(_FOR_RELOAD):
        return settings
    if print_unit:
        arguments = given_arguments(context)
        click.echo(unit(settings, own_command(), arguments, unpacks=executable() is not None), nl=False)
        return None
    _serve(_checked(settings), context.find_root())
    return None


def _serve(settings: RegistrySettings, root: click.Context) -> None:
    if settings.background:
        _tell("going into the background; a systemd unit would restart it and keep its log", settings.log)
    from registry.server.application import RegistryServer  # noqa: PLC0415  # gunicorn, after the checks

    command = [*child_command(), *given_arguments(root)]
    server = RegistryServer(settings, partial(_read_again, root.command, sys.argv[1:]), command)
    if server.certificates is not None:
        _tell(_trust(server.certificates), settings.log)
    server.run()


def _tell(sentence: str, log: LogSettings) -> None:
    """At every level of the log, and in its form where machines read it."""
    if log.form == "json":
        _log.log(max(logging.INFO, _log.getEffectiveLevel()), "%s", sentence)
    else:
        click.echo(f"k0rdentd: {sentence}", err=True)


def _read_again(root: click.Command, arguments: list[str]) -> RegistrySettings:
    """The settings that these arguments give now, with the environment and the configuration file.

    Raises:
        Failure: they do not do.
    """
    try:
        with root.make_context("k0rdentd", [*arguments]) as context:
            context.meta[_FOR_RELOAD] = True
            settings = root.invoke(context)
    except click.ClickException as error:
        raise SettingInvalid(error.format_message()) from error
    assert isinstance(settings, RegistrySettings)
    _check_users(settings)
    return settings


def _trust(certificates: Certificates) -> str:
    """What an operator has to give to clients."""
    if certificates.ca_fingerprint is None:
        return f"TLS until {certificates.expires:%Y-%m-%d}; clients must know the certificate's CA"
    where = certificates.ca_file or "/ca.crt"
    return f"TLS; clients must trust the CA {where}, SHA-256 {certificates.ca_fingerprint}"


def _checked(settings: RegistrySettings) -> RegistrySettings:
    """All that can be known to be wrong, before anything is started; without a bundle that is gone, but held."""
    settings = without_gone_bundle(settings)
    if settings.files is not None and not settings.files.is_dir():
        raise SettingInvalid(f"no directory at {settings.files}: make it, or leave --files out")
    _check_users(settings)
    if not inherits_sockets(os.environ, os.getpid()):
        _check_port(settings.host, settings.port)
        _check_pid_file(settings.pid_file)
    settings = without_unproven_bundle(settings)
    if settings.tls.mode == "files":
        Certificates.open(settings.tls, settings.storage)
    present = [open_root(root, create=False) for root in settings.storage if is_root(root)]
    if present and settings.bundle is None:
        require_index(present)
    store = Store.open(settings.storage, create=bool(present or settings.bundle) or settings.push != "off")
    if not present:
        _log.warning("%s is a new, empty store", settings.storage[0])  # or a disk that is not mounted
    empty = not store.list_repositories("", 1)
    store.close()
    if empty and settings.bundle is None and settings.push == "off":
        raise SettingInvalid(f"{settings.storage[0]} is empty and no bundle is given: use --bundle-path or --push")
    return settings


def _check_users(settings: RegistrySettings) -> None:
    if settings.htpasswd is not None:
        Passwords(settings.htpasswd)


def _check_pid_file(path: Path | None) -> None:
    if path is None:
        return
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SettingInvalid(f"cannot write {path}: choose a directory for --pid-file that exists and is writable")
    text = path.read_text().strip() if path.is_file() else ""
    if text.isdigit() and Path("/proc", text).exists():
        raise SettingInvalid(f"{path} names process {text}, which runs: stop it, or remove the file if it is another")


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise PortUnusable(
            f"cannot listen on {host} port {port}: {error.strerror}: choose another --host or --port"
        ) from error
