"""`k0rdentd store explain` and `k0rdentd store audit`."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from registry.oci.errors import ManifestUnknown
from registry.options import json_option, storage_option
from registry.storage.audit import Audit
from registry.storage.audit import audit as audit_store
from registry.storage.errors import HistoryBroken
from registry.storage.explain import Explanation, Part
from registry.storage.explain import explain as explain_image
from registry.storage.history import Cause, Event, Record
from registry.storage.store import Store
from registry.text import printable
from registry.transfer.errors import ReferenceMissing
from registry.transfer.selection import Named
from registry.units import human

_STRAYS_SHOWN = 20
_HASH = re.compile(r"[0-9a-f]{64}")


@click.command()
@click.argument("ref")
@storage_option
@json_option
def explain(ref: str, storage: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001
    """Tell where the image REF comes from, and what it is made of.

    REF is repository:tag or repository@digest. Whether the history that this is read from is what was written,
    'k0rdentd store audit' tells.
    """
    named = Named.parse(ref)
    store = Store.open(storage, create=False)
    try:
        found = explain_image(store, named.repository, named.reference)
    except ManifestUnknown as error:
        raise ReferenceMissing(f"no image in the store is {named}: see 'k0rdentd store ls'") from error
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"image": str(named), **_explanation(found)}, indent=2))
        return
    click.echo(str(named))
    for line in _lines(found):
        click.echo(f"  {line}")


@click.command()
@storage_option
@click.option("--head", metavar="HASH", help="Also require that the chain has grown from this head, noted earlier.")
@json_option
def audit(storage: tuple[Path, ...], head: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Check that the history of the tags is what was written, and that the tags are what it says.

    Each record holds the hash of the one before. Note the head that is printed, away from this machine: who can
    write here could write all of the chain anew, and only a head that was noted tells. Exit code 1 where it is broken.
    """
    if head is not None and not _HASH.fullmatch(head := head.lower().removeprefix("sha256:")):
        raise click.BadParameter("a head is 64 hexadecimal digits, as audit prints it", param_hint="--head")
    store = Store.open(storage, create=False)
    found = audit_store(store, head)
    store.close()
    if as_json:
        click.echo(json.dumps(_audit(found), indent=2))
    else:
        for line in _told(found):
            click.echo(line)
    if not found.holds:
        raise HistoryBroken(
            "the history of this store does not hold, see above: compare it with a receipt or a copy that you trust, "
            "or load the signed bundles into a new store"
        )


def _told(found: Audit) -> Iterator[str]:
    if found.first is not None and found.last is not None:
        yield f"{found.head.number} records, from {found.first.at} to {found.last.at}"
    yield "the chain holds from first to last" if found.broken is None else f"broken at {found.broken}"
    yield from found.strays[:_STRAYS_SHOWN]
    if len(found.strays) > _STRAYS_SHOWN:
        yield f"and {len(found.strays) - _STRAYS_SHOWN} more (--json has them all)"
    if not found.strays:
        yield f"tags: {found.tags}, each is what the chain says"
    if found.noted is not None:
        yield f"the noted head is record {found.noted}" if found.noted else "the noted head is no record of this chain"
    yield f"head: {found.head.hash}"


def _audit(found: Audit) -> dict[str, object]:
    return {
        "holds": found.holds,
        "records": found.head.number,
        "first": found.first and found.first.to_json(),
        "last": found.last and found.last.to_json(),
        "broken": found.broken,
        "strays": found.strays,
        "tags": found.tags,
        "noted": found.noted,
        "head": found.head.hash,
    }


def _lines(found: Explanation) -> Iterator[str]:
    if found.digest is None:
        yield "is not here any more"
    else:
        yield f"digest  {found.digest}"
        yield f"type    {found.media_type}"
        counts = f"{len(found.manifests)} manifests, {len(found.blobs)} blobs"
        yield f"size    {human(found.size)} ({found.size} bytes): {counts}"
        yield f"tags    {', '.join(found.tags) or 'none'}"
        yield from _origin(found)
    for title, parts in (("images", found.manifests[1:]), ("referrers", found.referrers), ("blobs", found.blobs)):
        yield from _table(title, parts)
    if found.history:
        yield "history"
    for record in found.history:
        yield f"  {_record(record)}"


def _origin(found: Explanation) -> Iterator[str]:
    for record in found.origin:
        verb = "also in" if record.event is Event.CONFIRMED else "from   "
        yield f"{verb} {_cause(record.cause)}, {record.at}, k0rdentd {record.version}, record {record.number}"
    if not found.origin:
        yield "from    nobody knows: no record tells how a tag came to name it"


def _table(title: str, parts: Iterable[Part]) -> Iterator[str]:
    rows = [f"  {part.digest} {human(part.size):>9}  {printable(part.kind)}{_place(part)}" for part in parts]
    if rows:
        yield title
        yield from rows


def _place(part: Part) -> str:
    if not part.is_here:
        return "  is not here"
    return "" if part.place is None else f"  {part.place}"


def _record(record: Record) -> str:
    what = {Event.DELETED: f"from {record.before}"}.get(record.event, f"{record.digest}")
    name = record.reference.tag if record.reference else ""
    return f"{record.number:>5}  {record.at}  {record.event.value:<9}  {name} {what}  {_cause(record.cause)}"


def _cause(cause: Cause | None) -> str:
    """In words; what strangers chose is made harmless."""
    if cause is None:
        return "before the chain began"
    parts = {
        "client": f"client {cause.client}",
        "load": f"bundle {cause.bundle}",
        "copy": f"copy from {cause.source}",
        "rm": "'k0rdentd store rm'",
        "fsck": "'k0rdentd store fsck'",
    }
    told = [parts.get(cause.by, cause.by)]
    told += [f"user {cause.user}"] if cause.user else []
    told += [f"member {cause.member}"] if cause.member else []
    told += [f"file SHA-256 {cause.sha256}"] if cause.sha256 else []
    if cause.by == "load":
        told.append(f"signed by key SHA-256 {cause.signer}" if cause.signer else "signature not checked")
    return printable(", ".join(told), 1000)


def _explanation(found: Explanation) -> dict[str, object]:
    return {
        "digest": None if found.digest is None else str(found.digest),
        "mediaType": found.media_type,
        "size": found.size,
        "tags": found.tags,
        "origin": [each.to_json() for each in found.origin],
        "manifests": [_part(each) for each in found.manifests],
        "referrers": [_part(each) for each in found.referrers],
        "blobs": [_part(each) for each in found.blobs],
        "history": [each.to_json() for each in found.history],
    }


def _part(part: Part) -> dict[str, object]:
    document: dict[str, object] = {"digest": str(part.digest), "size": part.size, "kind": part.kind}
    document["present"] = part.is_here
    return document if part.place is None else document | {"root": str(part.place)}
