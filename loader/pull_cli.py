"""`k0rdentd bundle pull`: a bundle from a server on the network."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import httpx

from loader.address import DEFAULT_TEMPLATE, FetchFailed, bundle_url, file_name
from loader.fetch import Download, Progress, disk_refusals, fetch_small, file_digests
from loader.proof import prove_before_use
from loader.signature import Check
from registry.path_name import PathName
from registry.transfer.errors import RegistryRefused
from registry.transfer.patience import Endurance
from registry.transfer.place import is_address
from registry.transfer.signals import interrupt_on_signals
from registry.transfer.transport import Security, Transport
from registry.units import human
from registry.verification import Verification

_FOLDER = PathName(file_okay=False)
_FILE = PathName(dir_okay=False)


@click.command()
@click.argument("bundle", metavar="VERSION|URL")
@click.option("-o", "--output", type=_FOLDER, default=Path(), show_default=True, metavar="DIR", help="Where it goes.")
@click.option("--url-template", default=DEFAULT_TEMPLATE, show_default=True, help="Where a VERSION is.")
@click.option("--cosign-key", envvar="K0RDENT_COSIGN_KEY", metavar="FILE|URL", help="A URL is fetched too.")
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    envvar="K0RDENTD_VERIFY_SIGNATURE",
    help="Without, a bundle that has no signature is taken too.",
)
@click.option("--ca-file", type=_FILE, help="Certificates (PEM) of the authorities to trust.")
@click.option("--insecure", is_flag=True, help="Take any certificate, and plain http from other machines.")
def pull(
    bundle: str,
    output: Path,
    url_template: str,
    cosign_key: str | None,
    verify: bool,  # noqa: FBT001
    ca_file: Path | None,
    insecure: bool,  # noqa: FBT001
) -> None:
    """Fetch a bundle, its signature (.sig) and its key, on a machine that has a network.

    The file appears under its name once it is whole. Run it again after any interruption: it goes on where it
    was. HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE count. The last line is as of sha256sum.
    """
    interrupt_on_signals()
    url = bundle_url(bundle, url_template)
    out = output / file_name(url)
    with disk_refusals(output):
        output.mkdir(parents=True, exist_ok=True)
    security = Security(ca_file, insecure)
    with closing(Transport(url.join("/"), security, None, Endurance(threading.Event()))) as transport:
        _fetch_signature(transport, url, output, required=verify)
        if cosign_key is not None and is_address(cosign_key):
            cosign_key = _fetch_key(transport, cosign_key, output)
        digests = _have(transport, url, out, cosign_key if verify else None)
    if verify and cosign_key is None:
        click.echo("k0rdentd: not verified: name the signer's public key with --cosign-key", err=True)
    click.echo(f"{digests['sha256'].hex()}  {out}")


def _have(transport: Transport, url: httpx.URL, out: Path, key: str | None) -> dict[str, bytes]:
    """Digests of the file, which is here already, or comes."""
    if not out.exists():
        return _fetch(transport, url, out, key)
    click.echo(f"k0rdentd: {out} is here already: remove it to fetch it anew", err=True)
    if key is not None:
        prove_before_use(out, Verification(True, key))
    return file_digests(out)


def _fetch(transport: Transport, url: httpx.URL, out: Path, key: str | None) -> dict[str, bytes]:
    """Digests of the whole file; with a `key` it has its name only if the signature beside it holds."""
    if key is None:
        download = Download(transport, url, out)
        _show_progress(download.run(), out)
        return download.digests
    evidence = Verification(True, key).evidence(out)
    assert evidence is not None
    check = Check.open(out.with_name(f"{out.name}.partial"), evidence)
    download = Download(transport, url, out, check.algorithms)
    _show_progress(download.run(check.require), out)
    return download.digests


def _fetch_key(transport: Transport, address: str, output: Path) -> str:
    """The file in which the key is now."""
    url = bundle_url(address, "")
    path = output / file_name(url)
    fetch_small(transport, url, path)
    return str(path)


def _fetch_signature(transport: Transport, url: httpx.URL, output: Path, *, required: bool) -> None:
    """Before the bundle: it would be a pity to learn behind 22 GB that there is none."""
    path = output / f"{file_name(url)}.sig"
    try:
        fetch_small(transport, url.copy_with(path=f"{url.path}.sig"), path)
    except RegistryRefused as error:
        if required:
            raise FetchFailed(f"no signature: {error}: go without it with --no-verify") from error
        click.echo(f"k0rdentd: no signature: {error}", err=True)


def _show_progress(steps: Iterator[Progress], out: Path) -> None:
    """A line for each twentieth, and for where it begins or goes on."""
    started, first, told = time.monotonic(), None, -1
    for step in steps:
        first = step.position if first is None else min(first, step.position)
        share = 20 * step.position // max(1, step.size)
        if share != told:
            told = share
            rate = (step.position - first) / max(time.monotonic() - started, 1e-3) / 1e6
            click.echo(
                f"{out.name}: {5 * share} %, {human(step.position)} of {human(step.size)}, {rate:.0f} MB/s", err=True
            )
