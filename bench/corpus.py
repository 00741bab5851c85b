"""Make realistic bundles of any size, always the same for a seed: `python -m bench.corpus OUT --size 2GB`."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import get_args

import click

from bench.archive import Entry
from bench.broken import broken_members
from bench.bundle import BrokenMember, BundleSpec, Contents, Form, Member
from bench.catalog import SpecImpossible
from bench.errors import BenchFailed
from bench.filler import Pool
from bench.layout import INDEX, MANIFEST
from bench.members import Made, Mill
from bench.output import storable, write_entries
from bench.signing import private_key, sign
from registry.path_name import PathName

__all__ = ["BrokenMember", "BundleSpec", "Contents", "Form", "Member", "form_of", "write_bundle"]

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
SUFFIXES: tuple[Form, ...] = ("tar.gz", "tgz", "tar.zst", "tar")


def write_bundle(spec: BundleSpec, out: Path, form: Form) -> Contents:
    """Write the bundle to `out`, which appears whole or not at all, and tell what it holds."""
    tally, pool = Tally(), Pool.from_seed(spec.seed)
    made = (one for one in _members(spec, pool) if form != "dir" or storable(one.entry))
    write_entries(_placed(tally.counted(_ahead(made)), spec.folder), out, form, pool.pieces)
    return tally.contents(spec)


def form_of(out: Path) -> Form:
    """The form that the name of `out` asks for: a directory, unless it ends like an archive."""
    return next((form for form in SUFFIXES if out.name.endswith(f".{form}")), "dir")


class Tally:
    """Counts what goes by."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._strays: list[str] = []
        self._broken: list[BrokenMember] = []
        self._blobs: dict[str, int] = {}
        self._manifests: set[str] = set()
        self._size = 0

    def counted(self, made: Iterable[Made]) -> Iterator[Entry]:
        """Pass the entries on, and remember what they are."""
        for one in made:
            self._size += one.entry.size
            self._record(one)
            self._manifests |= {blob.digest for blob in one.blobs if blob.media_type in (MANIFEST, INDEX)}
            self._blobs |= {blob.digest: blob.size for blob in one.blobs if blob.media_type not in (MANIFEST, INDEX)}
            yield one.entry

    def _record(self, one: Made) -> None:
        match one.record:
            case None:
                self._strays.append(one.entry.name)
            case Member() as member:
                self._members.append(member)
            case BrokenMember() as broken:
                self._broken.append(broken)

    def contents(self, spec: BundleSpec) -> Contents:
        """What went by so far."""
        return Contents(
            version=spec.version,
            size=self._size,
            members=tuple(self._members),
            strays=tuple(self._strays),
            broken=tuple(self._broken),
            blobs=len(self._blobs),
            blob_bytes=sum(self._blobs.values()),
            manifests=len(self._manifests),
        )


def _members(spec: BundleSpec, pool: Pool) -> Iterator[Made]:
    """The broken members go first, so that whoever stumbles over one misses all the good ones."""
    if spec.broken:
        yield from (Made(entry, BrokenMember(entry.name, reason)) for entry, reason in broken_members())
    yield from Mill.of(spec, pool).members()


def _ahead(made: Iterator[Made]) -> Iterator[Made]:
    """Hash the next member while the last one is written: 480 MB/s where one after the other makes 420."""
    with ThreadPoolExecutor(1) as pool:
        due = pool.submit(next, made, None)
        while one := due.result():
            due = pool.submit(next, made, None)
            yield one


def _placed(entries: Iterable[Entry], folder: str) -> Iterator[Entry]:
    """The entries below `folder`, each preceded by the directories it is the first to need."""
    known = {PurePosixPath()}
    for entry in entries:
        path = PurePosixPath(folder + entry.name)
        parents = () if not storable(entry) else [one for one in reversed(path.parents) if one not in known]
        known.update(parents)
        yield from (Entry.directory(str(parent)) for parent in parents)
        yield entry if entry.name.startswith("/") else replace(entry, name=folder + entry.name)


class ByteSize(click.ParamType[int]):
    """A size such as 3MB, 2.5GB or 1000; units are decimal."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the size, or tell what one looks like."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?B|)", str(value), re.IGNORECASE)
        if match is None:
            self.fail(f"{value} is no size; write 200MB or 22GB", param, ctx)
        return round(float(match[1]) * UNITS[match[2].upper()])


@click.command()
@click.argument("out", type=PathName())
@click.option("--size", type=ByteSize(), required=True, help="Bytes before compression: 3MB, 2GB, 22GB.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other bytes.")
@click.option("--version", default="1.2.3", show_default=True, help="The bundle's version.")
@click.option("--form", type=click.Choice(get_args(Form)), help="By default as OUT ends, else dir.")
@click.option("--leading-folder", is_flag=True, help="Put everything below airgap-bundle-VERSION/.")
@click.option("--broken", is_flag=True, help="Add members that must fail.")
@click.option("--images", type=click.IntRange(min=1), help="How many images; the vendor ships 233.")
@click.option("--nested/--no-nested", default=True, help="One image with an index in its index; skopeo -a refuses it.")
@click.option("--sign", "key", type=PathName(), help="Write OUT.sig with this ECDSA key (PEM).")
@click.option("--contents", type=PathName(), help="Where to write, as JSON, what a loader must find.")
def main(
    *,
    out: Path,
    size: int,
    seed: int,
    version: str,
    form: Form | None,
    leading_folder: bool,
    broken: bool,
    images: int | None,
    nested: bool,
    key: Path | None,
    contents: Path | None,
) -> None:
    """Write an airgap bundle to OUT."""
    spec = BundleSpec(size, seed, version, leading_folder, broken, images, nested)
    started = time.monotonic()
    try:
        signer = private_key(key) if key else None
        found = write_bundle(spec, out, form or form_of(out))
        if signer is not None:
            sign(out, signer)
    except (BenchFailed, SpecImpossible, OSError) as error:
        raise click.ClickException(str(error)) from error
    if contents:
        contents.write_text(found.to_json())
    click.echo(_summary(out, found, time.monotonic() - started))


def _summary(out: Path, found: Contents, seconds: float) -> str:
    kinds = Counter(member.kind for member in found.members)
    listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    rest = f"{len(found.strays)} other files, {len(found.broken)} broken"
    rate = found.size / seconds / 1e6
    return f"{out}: {listed}, {rest}; {found.size / 1e6:.1f} MB in {seconds:.1f} s ({rate:.0f} MB/s)"


if __name__ == "__main__":
    main()
