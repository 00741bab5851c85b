"""The images that many nodes pull at once: each for two platforms, with layers of many sizes, some of them shared."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.layout import CONFIG, INDEX, LAYER, Blob, Tree, image_config, index, manifest
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference

MIB = 1024 * 1024
BASE = 16 * MIB
LAYERS = (8 * MIB, 2 * MIB, 256 * 1024, 4 * 1024)
_REPEATED = 64 * 1024  # no server looks for what repeats itself


@dataclass(frozen=True, slots=True)
class FleetImage:
    """An index over two platforms, with every document and blob below it."""

    reference: Reference
    documents: tuple[tuple[Digest, Manifest], ...]
    """The index first."""
    blobs: tuple[tuple[Digest, bytes], ...]


def fleet(images: int, scale: float = 1.0) -> tuple[FleetImage, ...]:
    """So many images, always the same; `scale` shrinks their layers."""
    base = _layer("base", int(BASE * scale))
    return tuple(_image(number, base, scale) for number in range(images))


def _image(number: int, base: Blob, scale: float) -> FleetImage:
    own = [_layer(f"{number}/{size}", max(1024, int(size * scale))) for size in LAYERS]
    children = [_platform(arch, [base, *own]) for arch in ("amd64", "arm64")]
    root = index(children)
    reference = Reference.parse(f"bench/fleet-{number}:1.0.0")
    documents = tuple((Digest.parse(blob.digest), _parsed(blob)) for blob in (root.root, *_roots(children)))
    kinds = (INDEX, *(child.root.media_type for child in children))
    blobs = {blob.digest: blob for blob in root.below if blob.media_type not in kinds}
    return FleetImage(reference, documents, tuple((Digest.parse(key), _bytes(blob)) for key, blob in blobs.items()))


def _platform(arch: str, layers: list[Blob]) -> Tree:
    """Both platforms have the same layers: nodes pull one of them, and the disk need stays small."""
    config = Blob.of_json(image_config((), arch, ("/bin/app",)), CONFIG)
    tree = manifest(config, [layer.descriptor() for layer in layers], layers)
    return Tree(tree.root, tree.below, (f"linux/{arch}",))


def _roots(children: list[Tree]) -> Iterator[Blob]:
    return (child.root for child in children)


def _layer(seed: str, size: int) -> Blob:
    block = random.Random(f"fleet/{seed}").randbytes(min(size, _REPEATED))
    return Blob.of(((block * (size // len(block) + 1))[:size],), LAYER)


def _parsed(blob: Blob) -> Manifest:
    return Manifest.parse(_bytes(blob), blob.media_type)


def _bytes(blob: Blob) -> bytes:
    return b"".join(blob.content)
