"""`k0rdentd store export` and `k0rdentd store copy`."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import click

from registry.credentials import credential_options
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.options import storage_option
from registry.path_name import PathName
from registry.selection import Globs
from registry.storage.history import Cause, local_user
from registry.storage.roots import index_layout
from registry.storage.store import Store
from registry.transfer.access import Access, Credentials
from registry.transfer.copying import Copy, Outcome, Status
from registry.transfer.errors import CopyIncomplete, ReferenceMissing
from registry.transfer.export import Archive
from registry.transfer.output import write_file, write_stdout
from registry.transfer.place import Address, is_address
from registry.transfer.remote import RegistrySource, RegistryTarget
from registry.transfer.selection import Named, is_digest
from registry.transfer.signals import interrupt_on_signals
from registry.transfer.source import Source, StoreSource
from registry.transfer.target import StoreTarget, Target
from registry.transfer.text import printable
from registry.units import counted, human

_THE_STORE = "store:"
_GLOB = frozenset("*?[")
_FAILURES_SHOWN = 20


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@click.argument("out", type=PathName(dir_okay=False, allow_dash=True))
@storage_option
@click.option("--registry", "host", default="", metavar="HOST:PORT", help="Put in front of every name in the archive.")
@click.option("--referrers", is_flag=True, help="Take signatures, and all else that refers to the images, along.")
def export(
    refs: tuple[str, ...],
    out: Path,
    storage: tuple[Path, ...],
    host: str,
    referrers: bool,  # noqa: FBT001
) -> None:
    """Write images to the archive OUT, which skopeo, containerd, podman and docker load; `-` is standard output.

    REF is repository:tag, repository@digest, a digest, or a glob over repository:tag such as 'charts/*'.
    """
    interrupt_on_signals()
    source = StoreSource(Store.open(storage, create=False))
    archive = Archive.collect(source, _resolve(refs, source), host, referrers=referrers)
    for note in archive.notes:
        click.echo(f"k0rdentd: {note}", err=True)
    if str(out) == "-":
        write_stdout(archive.chunks())
    else:
        write_file(out, archive.chunks(), archive.size)
    click.echo(f"{counted(len(archive.names), 'image')} in {printable(str(out))}: {human(archive.size)}", err=True)


def _resolve(refs: Sequence[str], source: StoreSource) -> Iterator[Named]:
    """The images that are asked for; each REF has to mean one at least."""
    everything = list(source.list_images())
    for ref in refs:
        if is_digest(ref):
            digest = Digest.parse(ref)
            name = source.find_manifest(digest)
            found = [] if name is None else [Named(name, digest)]
        elif _GLOB & set(ref):
            found = [image for image in everything if fnmatchcase(str(image), ref)]
        else:
            found = _named(Named.parse(ref), source)
        if not found:
            raise ReferenceMissing(f"no image in the store is {printable(ref)}: see 'k0rdentd store ls'")
        yield from found


def _named(image: Named, source: StoreSource) -> list[Named]:
    try:
        source.get_manifest(image.repository, image.reference)
    except ManifestUnknown:
        return []
    return [image]


@click.command()
@click.argument("src")
@click.argument("dst")
@click.argument("refs", nargs=-1, metavar="[REF]...")
@storage_option
@click.option("--include", multiple=True, metavar="GLOB", help="Copy only what matches, as repository:tag.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches, as repository:tag.")
@click.option("--referrers/--no-referrers", default=True, show_default=True, help="Signatures and the like come along.")
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Blobs under way at once.")
@credential_options
def copy(
    src: str,
    dst: str,
    refs: tuple[str, ...],
    storage: tuple[Path, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    referrers: bool,  # noqa: FBT001
    jobs: int,
    credentials: Credentials,
) -> None:
    """Copy images from SRC to DST, byte for byte; what is there already is passed over.

    SRC and DST are each a registry, https://HOST[:PORT][/PREFIX] or docker://HOST[:PORT][/PREFIX], the directory
    of a store, or 'store:' for the one that --storage names. With REFs (repository:tag or repository@digest) only
    these are copied, and the registry need not list what it has. Run it again after any interruption.
    """
    interrupt_on_signals()
    access = credentials.access((src, dst), jobs)
    started = time.monotonic()
    with _source(src, storage, access) as source, _target(dst, storage, access, src) as target:
        images = _wanted(source, refs, Globs(include, exclude))
        run = Copy(source, target, access.endurance, jobs=jobs, referrers=referrers)
        outcomes = _show(run.outcomes(images), len(images))
    _summarize(outcomes, run.sent, time.monotonic() - started)


def _wanted(source: Source, refs: Sequence[str], selection: Globs) -> list[Named]:
    images = dict.fromkeys(Named.parse(ref) for ref in refs) if refs else dict.fromkeys(source.list_images())
    return [image for image in images if selection.admits(image)]


def _show(outcomes: Iterator[Outcome], total: int) -> list[Outcome]:
    kept = []
    for number, outcome in enumerate(outcomes, 1):
        kept.append(outcome)
        tail = f": {printable(outcome.error)}" if outcome.error else f" {human(outcome.size)}"
        notes = f" ({printable('; '.join(outcome.notes))})" if outcome.notes else ""
        click.echo(f"[{number}/{total}] {outcome.status.value} {outcome.image}{tail}{notes}")
    return kept


def _summarize(outcomes: Sequence[Outcome], sent: int, seconds: float) -> None:
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts[status]} {status.value}" for status in Status if counts[status]]
    click.echo(f"{', '.join(parts) or 'nothing to copy'}: {human(sent)} sent in {seconds:.1f} s")
    failures = [outcome for outcome in outcomes if outcome.error]
    for failure in failures[:_FAILURES_SHOWN]:
        click.echo(f"  {failure.image}: {printable(failure.error or '')}", err=True)
    if failures:
        others = "the others are" if len(failures) < len(outcomes) else "nothing is"
        raise CopyIncomplete(
            f"{len(failures)} of {len(outcomes)} images failed, {others} copied: "
            "run it again, and only what is missing is copied"
        )


@contextmanager
def _source(text: str, storage: tuple[Path, ...], access: Access) -> Iterator[Source]:
    with ExitStack() as stack:
        if is_address(text):
            client = access.connect(Address.parse(text))
            stack.callback(client.close)
            yield RegistrySource(client)
        else:
            store = Store.open(_roots(text, storage), create=False)
            stack.callback(store.close)
            yield StoreSource(store)


@contextmanager
def _target(text: str, storage: tuple[Path, ...], access: Access, source: str) -> Iterator[Target]:
    with ExitStack() as stack:
        if is_address(text):
            client = access.connect(Address.parse(text))
            stack.callback(client.close)
            yield RegistryTarget(client)
        else:
            store = Store.open(_roots(text, storage))
            stack.callback(store.close)
            stack.enter_context(store.loads.alone())
            origin = source if is_address(source) else str(index_layout(_roots(source, storage)).root)
            yield StoreTarget(store, Cause("copy", local_user(), source=origin))


def _roots(text: str, storage: tuple[Path, ...]) -> tuple[Path, ...]:
    return storage if text == _THE_STORE else (Path(text),)
