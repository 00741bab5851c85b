"""`k0rdentd bundle repack` and `create`: bundles made of bundles, stores and registries."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

import click

from loader.create import create as create_bundle
from loader.repack import repack as repack_bundle
from registry.credentials import credential_options
from registry.options import storage_option
from registry.path_name import PathName
from registry.storage.store import Store
from registry.text import printable
from registry.transfer.access import Access, Credentials
from registry.transfer.errors import ReferenceMissing
from registry.transfer.place import Address, is_address
from registry.transfer.receipt import Receipt
from registry.transfer.remote import RegistrySource
from registry.transfer.selection import Named
from registry.transfer.signals import interrupt_on_signals
from registry.transfer.source import Source, StoreSource
from registry.units import counted, human

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
