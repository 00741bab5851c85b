"""A docker-archive (`docker save`, `skopeo copy docker-archive:`) as an OCI image."""

import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from isal import igzip

from loader.archive import Archive
from loader.errors import MemberInvalid
from loader.rawfile import CHUNK
from loader.stream import DAMAGE
from registry.oci.descriptor import Descriptor, as_list, as_object
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest, load_json
from registry.oci.mediatype import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST
from registry.storage.blobs import BlobStore, StoredBlob

_CONFIG_NAME = re.compile(r"(?:.*/)?([0-9a-f]{64})\.json")
_LINK_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Converted:
    """The OCI image of a docker-archive: the same config and layers, a manifest that is new."""

    manifest: Manifest
    config: bytes
    layers: tuple[StoredBlob, ...]
    tags: frozenset[str]


def convert(archive: Archive, blobs: BlobStore) -> Converted:
    """The image in a settled docker-archive, each layer checked against the config's diff_ids.

    Raises:
        MemberInvalid: manifest.json names no image or several, or a file that is not there or not right.
        ManifestInvalid: a document is not JSON, or not of its shape.
    """
    entry = _only_entry(archive)
    config = _config(archive, str(entry.get("Config")))
    layers = [_layer(archive, str(path)) for path in as_list(entry, "Layers")]
    diff_ids = _diff_ids(config)
    if len(layers) != len(diff_ids):
        raise MemberInvalid(f"{len(layers)} layers for {len(diff_ids)} diff_ids")
    descriptors = [_describe(blob, want, blobs) for blob, want in zip(layers, diff_ids, strict=True)]
    tags = frozenset(str(tag).rpartition(":")[2] for tag in as_list(entry, "RepoTags"))
    return Converted(_manifest(config, descriptors), config, tuple(layers), tags)


def _only_entry(archive: Archive) -> dict[str, object]:
    document = load_json(archive.documents["manifest.json"])
    if not isinstance(document, list) or len(document) != 1:
        raise MemberInvalid("manifest.json must list exactly one image")
    return as_object(document[0], "entry of manifest.json")


def _config(archive: Archive, path: str) -> bytes:
    config = archive.documents.get(_resolve(archive, path))
    if config is None:
        raise MemberInvalid(f"config {path!r} is not in the archive")
    named = _CONFIG_NAME.fullmatch(path)
    if named and Digest.of(config).hex != named[1]:
        raise MemberInvalid(f"config {path!r} does not hash to its name")
    return config


def _layer(archive: Archive, path: str) -> StoredBlob:
    blob = archive.blobs.get(_resolve(archive, path))
    if blob is None:
        raise MemberInvalid(f"layer {path!r} is not in the archive")
    return blob.result()


def _resolve(archive: Archive, path: str) -> str:
    """`docker save` writes a layer that several images share once, and links to it inside the archive."""
    for _ in range(_LINK_DEPTH):
        target = archive.links.get(path)
        if target is None:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    raise MemberInvalid(f"too many links at {path!r}")


def _diff_ids(config: bytes) -> list[Digest]:
    rootfs = as_object(as_object(load_json(config), "config").get("rootfs"), "config's rootfs")
    return [Digest.parse(str(diff_id)) for diff_id in as_list(rootfs, "diff_ids")]


def _describe(blob: StoredBlob, diff_id: Digest, blobs: BlobStore) -> Descriptor:
    """A layer lies plain, or gzip'd by some builders; its diff_id is of the plain bytes."""
    if blob.digest == diff_id:
        return Descriptor(OCI_LAYER, blob.digest, blob.size)
    if _unpacked_hash(blobs.path(blob.root, blob.digest)) == diff_id.hex:
        return Descriptor(OCI_LAYER_GZIP, blob.digest, blob.size)
    raise MemberInvalid(f"layer {blob.digest} does not unpack to {diff_id}")


def _unpacked_hash(path: Path) -> str | None:
    """The SHA-256 of what a gzip file holds, None if it is not one."""
    unpacked = hashlib.sha256()
    try:
        with igzip.open(path, "rb") as file:  # type: ignore[no-untyped-call]
            while chunk := file.read(CHUNK):
                unpacked.update(chunk)
    except DAMAGE:
        return None
    return unpacked.hexdigest()


def _manifest(config: bytes, layers: list[Descriptor]) -> Manifest:
    """Always the same bytes for the same image, so that a second load finds it present."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor(OCI_CONFIG, Digest.of(config), len(config)).to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Manifest.parse(json.dumps(document, separators=(",", ":")).encode())
