"""Bundles for the load benchmark: generated once, then taken from a directory."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.bundle import BundleSpec, Form, Member
from bench.corpus import write_bundle


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk, and the archives in it."""

    path: Path
    form: Form
    size: int
    """Bytes of the outer tar."""
    members: tuple[Member, ...]


def bundle(work: Path, size: int, form: Form = "tar.gz", *, nested: bool = True) -> Bundle:
    """The bundle of this size and form below `work`; made there if it is missing. Remove it when the corpus changes."""
    folder = work / f"{size}{'' if nested else '-flat'}-{form}"
    path = folder / ("airgap-bundle-1.2.3" if form == "dir" else f"airgap-bundle-1.2.3.{form}")
    listing = folder / "contents.json"  # written last: without it the bundle is not whole
    if not listing.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        listing.write_text(write_bundle(BundleSpec(size, nested=nested), path, form).to_json())
    contents = orjson.loads(listing.read_bytes())
    return Bundle(path, form, contents["size"], tuple(Member(**member) for member in contents["members"]))
