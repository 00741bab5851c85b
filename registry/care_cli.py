"""`k0rdentd store gc|scrub|drain|fsck|rm`: the care of a store, a line for each thing that is done."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import click

from registry.config import Limits
from registry.oci.errors import Failure
from registry.options import storage_option
from registry.path_name import PathName
from registry.storage.blobs import StoredBlob
from registry.storage.drain import drain as drain_root
from registry.storage.drain import give_up, stop_draining
from registry.storage.fsck import fsck as check_store
from registry.storage.gc import Collection, Kind, Policy
from registry.storage.grace import kept_by_grace
from registry.storage.history import Cause, local_user
from registry.storage.scrub import Verdict
from registry.storage.scrub import scrub as scrub_store
from registry.storage.store import Store
from registry.storage.tags import find_tags, remove_tags
from registry.units import counted, human, human_duration, parse_duration, parse_size

# Clients come before care.
_NICENESS = 10

_json_lines = click.option("--json", "as_json", is_flag=True, help="A JSON object a line, the last one a summary.")


class NothingMatches(Failure):
    """A pattern that was to name something names nothing."""


class StoreFaulty(Failure):
    """Something in the store is not as it should be; each thing has been told."""


def _parsed(
    parse: Callable[[str], float],
) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """A callback that turns people's units into numbers."""

    def convert(_: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from error

    return convert


@click.command()
@storage_option
@click.option("--untagged", is_flag=True, help="Also remove manifests that no tag leads to.")
@click.option(
    "--grace",
    metavar="DURATION",
    callback=_parsed(parse_duration),
    default="1h",
    show_default=True,
    help="Keep what was pushed, mounted or untagged so recently; 0 only while nobody pushes.",
)
@click.option(
    "--upload-expiry",
    metavar="DURATION",
    callback=_parsed(parse_duration),
    default=f"{Limits().upload_age // 3600}h",
    show_default=True,
    help="Forget uploads to which nothing was added for so long.",
)
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@_json_lines
def gc(
    storage: tuple[Path, ...],
    untagged: bool,  # noqa: FBT001
    grace: float,
    upload_expiry: float,
    dry_run: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Free the space of what nothing needs: blobs that no manifest uses, leftovers of killed loads, old uploads.

    Safe beside pulls, pushes and loads; while a load runs, blobs are left for the next gc. It works on a full disk.
    """
    os.nice(_NICENESS)
    opened, policy = Store.open(storage, create=False), Policy(grace, upload_expiry, untagged, dry_run)
    collection = Collection(opened, policy)
    counts, size = _tell_removals(collection, as_json)
    if collection.postponed:
        click.echo("k0rdentd: a load is running: what it may need is left for the next gc", err=True)
    kept = max(0, kept_by_grace(opened, policy) - (size if dry_run else 0))
    until = datetime.now().astimezone() + timedelta(seconds=grace)
    if as_json:
        summary = {"removed": {kind.value: counts[kind] for kind in Kind}, "size": size, "dry_run": dry_run}
        later = {"kept": kept, "kept_until": until.isoformat(timespec="seconds") if kept else None}
        _tell(summary | {"postponed": collection.postponed} | later)
        return
    parts = ", ".join(counted(number, kind.value) for kind, number in counts.items()) or "nothing"
    _tell(f"{'would remove' if dry_run else 'removed'} {parts}: {human(size)}")
    if kept:
        age = f"younger than {human_duration(grace)} (until {until:%Y-%m-%d %H:%M} at the latest; --grace)"
        _tell(f"{human(kept)} kept because it is {age}")


def _tell_removals(collection: Collection, as_json: bool) -> tuple[Counter[Kind], int]:  # noqa: FBT001
    counts: Counter[Kind] = Counter()
    size = 0
    for each in collection.removals():
        counts[each.kind] += 1
        size += each.size
        tail = f"  {human(each.size)}" if each.size else ""
        document = {"kind": each.kind.value, "name": each.name, "size": each.size}
        _tell(document if as_json else f"{each.kind.value:<10} {each.name}{tail}")
    return counts, size


@click.command()
@storage_option
@click.option(
    "--rate", metavar="SIZE", callback=_parsed(parse_size), help="Read no more than this in a second, such as 100MB."
)
@click.option("--restart", is_flag=True, help="Begin anew, not where an interrupted scrub has stopped.")
@_json_lines
def scrub(storage: tuple[Path, ...], rate: float | None, restart: bool, as_json: bool) -> None:  # noqa: FBT001
    """Read every blob from its disk and check it; what is bad is set aside in ROOT/quarantine.

    A bad blob answers 404 from then on; push it, or load its bundle, and it is whole again. Interrupted, it goes on
    where it was.
    """
    os.nice(_NICENESS)
    counts: Counter[Verdict] = Counter()
    size = 0
    for each in scrub_store(Store.open(storage, create=False), int(rate) if rate else None, restart=restart):
        counts[each.verdict] += 1
        size += each.blob.size
        if each.verdict is not Verdict.GOOD:
            names = [str(name) for name in each.repositories]
            document = {"blob": str(each.blob.digest), "verdict": each.verdict.value, "repositories": names}
            _tell(document if as_json else f"{each.verdict.value:<13} {each.blob.digest}  {', '.join(names)}".rstrip())
    summary = {"blobs": counts.total(), "bytes": size} | {verdict.value: counts[verdict] for verdict in Verdict}
    _tell(summary if as_json else f"read {counted(counts.total(), 'blob')}, {human(size)}: {_verdicts(counts)}")
    bad = sum(number for verdict, number in counts.items() if verdict.is_bad)
    if bad:
        raise StoreFaulty(f"bad blobs: {bad}; push them again, or load their bundle again")


@click.command()
@click.argument("root", type=PathName(file_okay=False))
@storage_option
@click.option("--cancel", is_flag=True, help="Let ROOT have new blobs again.")
@click.option("--lost", is_flag=True, help="Its disk is gone: forget what was there; a load brings it again.")
@_json_lines
def drain(root: Path, storage: tuple[Path, ...], cancel: bool, lost: bool, as_json: bool) -> None:  # noqa: FBT001
    """Move all blobs of the storage ROOT to the other ones (--storage), so that its disk can go.

    Works while a registry serves. When it is done, leave ROOT out of --storage; until then it gets no new blobs.
    The root that holds the index cannot be drained: stop the registry, copy all of it to another disk with 'cp -a',
    and name that in its place.
    """
    path = root.absolute()
    if lost:
        _give_up(path, storage, as_json)
        return
    opened = Store.open(tuple(dict.fromkeys((*(each.absolute() for each in storage), path))), create=False)
    (leaving,) = (each for each in opened.blobs.roots if each.layout.root == path)
    if cancel:
        stop_draining(leaving)
        return
    count, size = _tell_blobs(drain_root(opened, leaving), "moved", as_json)
    summary = {"moved": count, "bytes": size}
    _tell(summary if as_json else f"moved {counted(count, 'blob')}, {human(size)}: {root} can be left out of --storage")


def _give_up(root: Path, storage: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001
    others = tuple(each for each in storage if each.absolute() != root)
    count, size = _tell_blobs(give_up(Store.open(others, create=False, whole=False), root), "lost", as_json)
    told = f"lost {counted(count, 'blob')}, {human(size)}: load their bundles again; 'store fsck' tells what suffers"
    _tell({"lost": count, "bytes": size} if as_json else told)


def _tell_blobs(blobs: Iterable[StoredBlob], did: str, as_json: bool) -> tuple[int, int]:  # noqa: FBT001
    count = size = 0
    for blob in blobs:
        count, size = count + 1, size + blob.size
        _tell({"blob": str(blob.digest), "size": blob.size} if as_json else f"{did} {blob.digest}  {human(blob.size)}")
    return count, size


@click.command()
@storage_option
@click.option("--repair", is_flag=True, help="Mend what can be mended here.")
@_json_lines
def fsck(storage: tuple[Path, ...], repair: bool, as_json: bool) -> None:  # noqa: FBT001
    """Compare the index with the files and with itself; exit code 1 where faults remain.

    It reads no blob: that is what scrub is for.
    """
    counts: Counter[bool] = Counter()
    for each in check_store(Store.open(storage, create=False), repair=repair):
        counts[each.repaired] += 1
        document = {"subject": each.subject, "fault": each.fault, "remedy": each.remedy, "repaired": each.repaired}
        remedy = f"repaired ({each.remedy})" if each.repaired else each.remedy
        _tell(document if as_json else f"{each.subject} {each.fault}: {remedy}")
    summary = {"faults": counts.total(), "repaired": counts[True]}
    _tell(summary if as_json else f"{counted(counts.total(), 'fault')}, {counts[True]} repaired")
    if counts[False]:
        way = "see above" if repair else "see above, or run it with --repair"
        raise StoreFaulty(f"faults that remain: {counts[False]}; {way}")


@click.command()
@click.argument("globs", metavar="GLOB...", nargs=-1, required=True)
@storage_option
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@_json_lines
def rm(globs: tuple[str, ...], storage: tuple[Path, ...], dry_run: bool, as_json: bool) -> None:  # noqa: FBT001
    """Remove the tags that match a GLOB, as repository:tag ('charts/*:1.2.*').

    The manifests and blobs stay, and can be pulled by digest; 'store gc --untagged' frees their space.
    """
    opened = Store.open(storage, create=False)
    found = find_tags(opened, globs)
    if not found:
        raise NothingMatches(f"no image matches {' '.join(globs)}: see 'k0rdentd store ls'")
    count = 0
    for reference in found if dry_run else remove_tags(opened, found, Cause("rm", local_user())):
        count += 1
        _tell({"image": str(reference)} if as_json else str(reference))
    did = "would remove" if dry_run else "removed"
    _tell({"removed": count, "dry_run": dry_run} if as_json else f"{did} {counted(count, 'tag')}")


def _tell(line: str | Mapping[str, object]) -> None:
    click.echo(line if isinstance(line, str) else json.dumps(line))


def _verdicts(counts: Counter[Verdict]) -> str:
    return ", ".join(f"{number} {verdict.value}" for verdict, number in counts.items()) or "none there"
