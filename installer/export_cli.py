"""`k0rdentd export-join-config` and `k0rdentd export-worker-artifacts`."""

from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from installer.artifacts import worker_files, worker_k0s
from installer.host import Host
from installer.joining import join_files, write_files
from installer.options import host_options, settings_here
from installer.settings import Join
from installer.settings_types import Duration, format_duration
from installer.site import find_registry, node_address
from registry.options import verify_options
from registry.path_name import PathName
from registry.verification import Verification

_EXECUTABLE = 0o755
_output = click.option(
    "-o",
    "--output",
    type=PathName(file_okay=False),
    required=True,
    envvar="K0RDENTD_EXPORT_OUTPUT",
    help="The folder to write to; it is made if need be.",
)
_overwrite = click.option(
    "--overwrite", is_flag=True, envvar="K0RDENTD_EXPORT_OVERWRITE", help="Replace files of an earlier export."
)


@click.command()
@_output
@click.option(
    "--controller-ip",
    envvar="K0RDENTD_CONTROLLER_IP",
    help="Address of a controller, as the joining machines reach it; this machine's if left out.",
)
@click.option(
    "--expiry", default="24h", show_default=True, envvar="K0RDENTD_TOKEN_EXPIRY", help="How long the tokens work."
)
@click.option(
    "--registry-port",
    type=click.IntRange(1, 65535),
    envvar="K0RDENTD_JOIN_REGISTRY_PORT",
    help="Port of the registry; the one that the cluster was installed with if left out.",
)
@_overwrite
@host_options
@click.pass_context
def export_join_config(
    context: click.Context,
    output: Path,
    controller_ip: str | None,
    expiry: str,
    registry_port: int | None,
    overwrite: bool,  # noqa: FBT001
    host: Host,
) -> None:
    """Write what other machines need to join this controller's cluster: configurations, tokens, the registry's CA."""
    settings = settings_here(context)
    server = _reachable(controller_ip or str(settings.k0s.api.external_address or node_address(host, settings)))
    folder = output.absolute()
    files = join_files(host, settings, folder.name, server, _expiry(expiry), registry_port)
    write_files(host, folder, files, overwrite=overwrite)
    click.echo(f"{len(files)} files in {folder}; its README says what to do with them. The tokens in it are secrets.")


@click.command()
@_output
@click.option(
    "-b",
    "--bundle-path",
    type=PathName(exists=True),
    envvar="K0RDENTD_AIRGAP_BUNDLE_PATH",
    help="Take k0s out of this bundle; if left out it is the one of this machine, or else of the registry.",
)
@verify_options
@_overwrite
@host_options
@click.pass_context
def export_worker_artifacts(
    context: click.Context,
    output: Path,
    bundle_path: Path | None,
    verify: bool | None,  # noqa: FBT001
    cosign_key: str | None,
    cosign_signature: Path | None,
    overwrite: bool,  # noqa: FBT001
    host: Host,
) -> None:
    """Write what a machine without k0rdentd needs to become a worker: k0s, the registry's CA, a script."""
    settings = settings_here(context)
    folder = output.absolute()
    registry = find_registry(host, settings)
    proof = Verification(verify, cosign_key, cosign_signature)
    with worker_k0s(host, settings, registry, bundle_path, folder, proof) as k0s:
        files = worker_files(settings, registry, k0s.version)
        write_files(host, folder, files, overwrite=overwrite)
        host.write(folder / "k0s", k0s.pieces(), _EXECUTABLE)
    where = f"k0s {k0s.version} out of {k0s.describe()}"
    click.echo(f"{where} and {len(files)} files in {folder}; its README.md says what to do with them")


def _reachable(address: str) -> str:
    """What the joining machines will read as `join.server`."""
    try:
        found = Join.model_validate({"mode": "worker", "server": address, "tokenFile": "token"})
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"--controller-ip: {what}") from error
    return str(found.server)


def _expiry(text: str) -> str:
    try:
        return format_duration(TypeAdapter(Duration).validate_python(text))
    except ValidationError as error:
        raise click.UsageError(f"--expiry: {text!r} is no duration; they look like 24h or 90m") from error
