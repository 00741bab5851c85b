"""`k0rdentd bundle repack`, `create` and `pull`: bundles made of bundles, stores and registries, or fetched."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from fnmatch import fnmatchcase
from pathlib import Path

import click
import httpx

from loader.address import DEFAULT_TEMPLATE, FetchFailed, bundle_url, file_name
from loader.create import create as create_bundle
from loader.fetch import Download, Progress, disk_refusals, fetch_small, file_digests
from loader.proof import prove_before_use
from loader.repack import repack as repack_bundle
from loader.signature import Check
from registry.credentials import credential_options
from registry.options import storage_option
from registry.path_name import PathName
from registry.storage.store import Store
from registry.text import printable
from registry.transfer.access import Access, Credentials
from registry.transfer.errors import ReferenceMissing, RegistryRefused
from registry.transfer.patience import Endurance
from registry.transfer.place import Address, is_address
from registry.transfer.receipt import Receipt
from registry.transfer.remote import RegistrySource
from registry.transfer.selection import Named
from registry.transfer.signals import interrupt_on_signals
from registry.transfer.source import Source, StoreSource
from registry.transfer.transport import Security, Transport
from registry.units import counted, human
from registry.verification import Verification

_BUNDLE = PathName()
_FILE = PathName(dir_okay=False)
_GLOB = frozenset("*?[")


@click.command()
@click.argument("bundle", type=_BUNDLE)
@click.argument("out", type=_FILE)
def repack(bundle: Path, out: Path) -> None:
    """Write BUNDLE to OUT as a plain tar with an index in front, every file of it byte for byte.

    A load of OUT ends as a load of BUNDLE does, and is parallel from its first second, for nothing is to be
    inflated. OUT appears whole or not at all; memory stays flat.
    """
    interrupt_on_signals()
    started = time.monotonic()
    count = size = 0
    for member in repack_bundle(bundle, out):
        if member.note is not None:
            click.echo(f"k0rdentd: {printable(member.name)} is left out: {member.note}", err=True)
            continue
        count, size = count + 1, size + member.size
    seconds = time.monotonic() - started
    rate = f"{size / seconds / 1e6:.0f} MB/s"
    click.echo(f"{counted(count, 'file')} in {printable(str(out))}: {human(size)} in {seconds:.1f} s ({rate})")


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.argument("out", type=_FILE)
@click.option(
    "--from-store", "roots", type=_BUNDLE, multiple=True, metavar="ROOT", help="The store to read, in place of -s."
)
@storage_option
@click.option("--since", type=_FILE, metavar="RECEIPT", help="Leave out the blobs in this file of 'store receipt'.")
@credential_options
def create(
    refs: tuple[str, ...],
    out: Path,
    roots: tuple[Path, ...],
    storage: tuple[Path, ...],
    since: Path | None,
    credentials: Credentials,
) -> None:
    """Make the bundle OUT, a plain tar, of images and charts that a store or registries have.

    REF is repository:tag or a glob over it ('charts/*') for the store, docker://HOST[:PORT]/repository:tag or
    https://… for a registry, where a glob needs its catalog. 'k0rdentd load' gives each its name again, without
    the host. With --since the bundle is a delta: it loads where the blobs of the receipt are.
    """
    interrupt_on_signals()
    known = Receipt.read(since).blobs if since is not None else frozenset()
    hosts = sorted({_host(ref) for ref in refs if is_address(ref)})
    access = credentials.access(hosts, jobs=4)
    count = size = left_out = 0
    with ExitStack() as stack:
        images = list(_images(refs, roots or storage, access, stack))
        for number, made in enumerate(create_bundle(images, out, known), 1):
            saved = f" ({human(made.left_out)} left out)" if made.left_out else ""
            click.echo(f"[{number}/{len(images)}] {made.reference} {human(made.size)}{saved}")
            count, size, left_out = number, size + made.size, left_out + made.left_out
    without = f", {human(left_out)} that the receipt lists left out" if since is not None else ""
    told = counted(count, "image or chart", "images and charts")
    click.echo(f"{told} in {printable(str(out))}: {human(size)}{without}")


@click.command()
@click.argument("bundle", metavar="VERSION|URL")
@click.option("-o", "--output", type=_BUNDLE, default=Path(), show_default=True, metavar="DIR", help="Where it goes.")
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
    with disk_refusals(output):
        output.mkdir(parents=True, exist_ok=True)
    out = output / file_name(url)
    transport = Transport(url.join("/"), Security(ca_file, insecure), None, Endurance(threading.Event()))
    with closing(transport):
        _fetch_signature(transport, url, output, required=verify)
        if cosign_key is not None and is_address(cosign_key):
            cosign_key = _fetch_key(transport, cosign_key, output)
        if out.exists():
            click.echo(f"k0rdentd: {out} is here already: remove it to fetch it anew", err=True)
            digests = file_digests(out)
            if verify and cosign_key is not None:
                prove_before_use(out, Verification(True, cosign_key))
        else:
            digests = _fetch(transport, url, out, cosign_key if verify else None)
    if verify and cosign_key is None:
        click.echo("k0rdentd: not verified: name the signer's public key with --cosign-key", err=True)
    click.echo(f"{digests['sha256'].hex()}  {out}")


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


def _images(
    refs: Sequence[str], roots: Sequence[Path], access: Access, stack: ExitStack
) -> Iterator[tuple[Source, Named]]:
    """What is meant, each once, and where it is; every REF has to mean one at least."""
    sources: dict[str, Source] = {}
    seen: set[Named] = set()
    for ref in refs:
        place = _host(ref) if is_address(ref) else ""
        if place not in sources:
            sources[place] = _open(place, roots, access, stack)
        for image in _resolve(ref, ref[len(place) :].lstrip("/"), sources[place]):
            if image not in seen:
                seen.add(image)
                yield sources[place], image


def _resolve(ref: str, name: str, source: Source) -> list[Named]:
    if not _GLOB & set(name):
        return [Named.parse(name)]
    found = [image for image in source.list_images() if fnmatchcase(str(image), name)]
    if not found:
        raise ReferenceMissing(f"nothing there is {printable(ref)}: see 'k0rdentd store ls', or the registry's catalog")
    return found


def _open(place: str, roots: Sequence[Path], access: Access, stack: ExitStack) -> Source:
    if not place:
        store = Store.open(roots, create=False)
        stack.callback(store.close)
        return StoreSource(store)
    client = access.connect(Address.parse(place))
    stack.callback(client.close)
    return RegistrySource(client)


def _host(ref: str) -> str:
    """`https://host:port` of a reference into a registry."""
    scheme, _, rest = ref.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
