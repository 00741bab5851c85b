"""`k0rdentd store`: look after the store, while a registry serves it or not."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from registry.lazy_group import LazyGroup
from registry.options import json_option, storage_option
from registry.storage.listing import list_images
from registry.storage.stats import Stats, measure
from registry.storage.store import Store
from registry.units import counted, human

# An HTTP client alone takes as long as all that the others import.
_IN_OTHER_FILES: Mapping[str, str] = {
    "audit": "registry.provenance_cli:audit",
    "copy": "registry.transfer_cli:copy",
    "drain": "registry.care_cli:drain",
    "explain": "registry.provenance_cli:explain",
    "export": "registry.transfer_cli:export",
    "fsck": "registry.care_cli:fsck",
    "gc": "registry.care_cli:gc",
    "missing": "registry.ledger_cli:missing",
    "receipt": "registry.receipt_cli:receipt",
    "rm": "registry.care_cli:rm",
    "scrub": "registry.care_cli:scrub",
}


@click.group(cls=LazyGroup, lazy=_IN_OTHER_FILES)
def store() -> None:
    """Look after the store; all of it works while a registry serves."""


@store.command()
@storage_option
@json_option
def ls(storage: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001
    """List every image: name, digest, size of all that it needs."""
    images = list_images(Store.open(storage, create=False))
    if as_json:
        click.echo(
            json.dumps(
                [{"image": str(each.reference), "digest": str(each.digest), "size": each.size} for each in images]
            )
        )
        return
    for each in images:
        click.echo(f"{each.reference}  {each.digest}  {each.size}")


@store.command()
@storage_option
@json_option
def stats(storage: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001
    """Tell how much is in the store, in each of its roots, and in each repository."""
    measured = measure(Store.open(storage, create=False))
    if as_json:
        click.echo(json.dumps(_document(measured), indent=2))
        return
    names = counted(len(measured.repositories), "repository")
    click.echo(f"{names}, {counted(measured.tags, 'tag')}, {counted(measured.manifests, 'manifest')}")
    stored, unshared = human(measured.bytes), human(measured.unshared)
    click.echo(f"{counted(measured.blobs, 'blob')}; {stored} stored, {unshared} if nothing was shared")
    for root in measured.roots:
        click.echo(f"{root.path}: {counted(root.blobs, 'blob')}, {human(root.bytes)}; {human(root.free)} free")
    for each in measured.repositories:
        click.echo(f"{human(each.bytes):>10} {human(each.shared):>10} shared {each.tags:>5} tags  {each.name}")


def _document(measured: Stats) -> dict[str, object]:
    return {
        "tags": measured.tags,
        "manifests": measured.manifests,
        "blobs": measured.blobs,
        "bytes": measured.bytes,
        "unshared": measured.unshared,
        "roots": [
            {"path": str(each.path), "blobs": each.blobs, "bytes": each.bytes, "free": each.free}
            for each in measured.roots
        ],
        "repositories": [
            {
                "name": str(each.name),
                "tags": each.tags,
                "manifests": each.manifests,
                "blobs": each.blobs,
                "bytes": each.bytes,
                "shared": each.shared,
            }
            for each in measured.repositories
        ],
    }
