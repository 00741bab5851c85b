"""`k0rdentd registry` and `k0rdentd store`."""

import json
import socket
from pathlib import Path
from typing import ClassVar

import click

from registry.config import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_THREADS, LogSettings, RegistrySettings
from registry.config import default_workers as workers_default
from registry.oci.errors import Failure
from registry.options import storage_option
from registry.storage.store import Store


class SettingInvalid(Failure):
    """The registry was told something that cannot work."""

    exit_code: ClassVar[int] = 2


class PortUnusable(Failure):
    """Nobody can listen on that address and port, at least not now."""

    exit_code: ClassVar[int] = 4


@click.command()
@click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    envvar="K0RDENTD_REGISTRY_PORT",
)
@click.option("-H", "--host", default=DEFAULT_HOST, show_default=True, envvar="K0RDENTD_REGISTRY_HOST")
@storage_option
@click.option(
    "-b",
    "--bundle-path",
    type=click.Path(path_type=Path),
    envvar="K0RDENTD_AIRGAP_BUNDLE_PATH",
    help="Bundle to load while serving; not needed once the storage holds its content.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=workers_default, help="Serving processes.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=DEFAULT_THREADS, show_default=True, help="Threads of each."
)
@click.option("-d", "--background", is_flag=True, help="Detach; a systemd unit is the better way.")
@click.pass_obj
def registry(
    log: LogSettings,
    port: int,
    host: str,
    storage: tuple[Path, ...],
    bundle_path: Path | None,
    workers: int,
    threads: int,
    background: bool,  # noqa: FBT001
) -> None:
    """Serve the store as an OCI registry, until SIGTERM or Ctrl-C; transfers under way get 30 s to finish.

    What was loaded once is served at once after a restart, without the bundle.
    """
    bundle = bundle_path.resolve() if bundle_path else None
    settings = RegistrySettings(storage, host, port, bundle, workers, threads, background, log)
    _check(settings)
    if background:
        click.echo("k0rdentd: going into the background; a systemd unit would restart it and keep its log", err=True)
    from registry.server.application import RegistryServer  # noqa: PLC0415  # gunicorn, after the checks

    RegistryServer(settings).run()


def _check(settings: RegistrySettings) -> None:
    """All that can be known to be wrong, before anything is started."""
    if settings.bundle is not None and not settings.bundle.exists():
        raise SettingInvalid(f"no bundle at {settings.bundle}: give the file or directory with --bundle-path")
    _check_port(settings.host, settings.port)
    store = Store.open(settings.storage, create=settings.bundle is not None)
    empty = not store.list_repositories("", 1)
    store.close()
    if empty and settings.bundle is None:
        raise SettingInvalid(f"{settings.storage[0]} is empty and no bundle is given: name one with --bundle-path")


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


@click.group()
def store() -> None:
    """Look after the store."""


@store.command()
@storage_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document in place of lines.")
def ls(storage: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001
    """List every image: name, digest, size of all that it needs."""
    images = Store.open(storage, create=False).list_images()
    if as_json:
        click.echo(
            json.dumps(
                [{"image": str(each.reference), "digest": str(each.digest), "size": each.size} for each in images]
            )
        )
        return
    for each in images:
        click.echo(f"{each.reference}  {each.digest}  {each.size}")
