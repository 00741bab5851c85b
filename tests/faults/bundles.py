"""Bundles for damage: what is where in them, and what a load said of each member."""

import json
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import zstandard

from bench.bundle import BundleSpec, Contents
from bench.corpus import write_bundle
from tests.conftest import k0rdentd


@dataclass(frozen=True)
class Made:
    """A bundle as a plain tar, what it holds, and where each of its members lies."""

    path: Path
    contents: Contents
    places: tuple[tarfile.TarInfo, ...]

    @property
    def images(self) -> dict[str, str | None]:
        """Digest by image; None for one that the loader converts."""
        return {f"{each.repository}:{each.tag}": each.digest for each in self.contents.members}

    @property
    def spans(self) -> dict[str, range]:
        """Where the bytes of each member are, by its path."""
        return {each.name: range(each.offset_data, each.offset_data + each.size) for each in self.places if each.size}

    def images_before(self, end: int) -> set[str]:
        """Those whose archives end before a byte of the tar."""
        whole = {path for path, span in self.spans.items() if span.stop <= end}
        return {f"{each.repository}:{each.tag}" for each in self.contents.members if each.path in whole}


def make(folder: Path, size: int) -> Made:
    """A bundle of `size` bytes."""
    path = folder / "airgap-bundle-1.2.3.tar"
    contents = write_bundle(BundleSpec(size=size), path, "tar")
    with tarfile.open(path) as tar:
        return Made(path, contents, tuple(tar.getmembers()))


@dataclass(frozen=True)
class Loaded:
    """How a load ended: exit code, standard error, and what became of each member by its path."""

    code: int
    output: str
    error: str
    outcomes: dict[str, str]

    def having(self, outcome: str) -> set[str]:
        """The paths of the members that fared so."""
        return {path for path, each in self.outcomes.items() if each == outcome}


def load(bundle: Path, root: Path, *arguments: str | Path) -> Loaded:
    """Load to the end."""
    report = root.with_suffix(".json")
    report.unlink(missing_ok=True)
    done = k0rdentd("load", bundle, "-s", root, "--report", report, *arguments)
    members = json.loads(report.read_text())["members"] if report.exists() else []
    return Loaded(done.returncode, done.stdout, done.stderr, {each["path"]: each["outcome"] for each in members})


def unpacked_size(packed: bytes) -> int:
    """How many bytes come out of the beginning of a gzip or zstd file."""
    is_gzip = packed.startswith(b"\x1f\x8b")
    unpacking = zlib.decompressobj(wbits=31) if is_gzip else zstandard.ZstdDecompressor().decompressobj()
    return len(unpacking.decompress(packed))


def flipped(body: bytes, places: Iterable[int]) -> bytes:
    """`body` with one bit turned over in the byte at each place."""
    damaged = bytearray(body)
    for number, place in enumerate(places):
        damaged[place] ^= 1 << number % 8
    return bytes(damaged)


def is_one_clear_sentence(error: str, bundle: Path) -> bool:
    """One line that names the bundle, and no word of our insides."""
    lines = error.strip().splitlines()
    return (
        len(lines) == 1
        and lines[0].startswith("k0rdentd: ")
        and str(bundle) in lines[0]
        and "internal error" not in lines[0]
    )
