"""The documents of an OCI image layout, read as one image (image-spec, image-layout.md)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loader.errors import MemberInvalid
from loader.selection import Selection
from registry.oci.annotation import LEFT_OUT
from registry.oci.descriptor import Descriptor, as_list, as_object, text_field
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest, load_json
from registry.oci.mediatype import HELM_CONFIG, MANIFEST_TYPES

INDEX = "index.json"

_LAYER_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_BLOBS = "blobs/"
_REF_NAME = "org.opencontainers.image.ref.name"
_VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True, slots=True)
class Layout:
    """A root manifest, all manifests below it, and what the image says its version is."""

    root: Digest
    manifests: dict[Digest, Manifest]
    versions: frozenset[str]


def read_layout(files: Mapping[str, bytes], selection: Selection | None = None) -> Layout:
    """The one image among the JSON documents of an archive, by their names in it; of an index what is selected.

    Raises:
        MemberInvalid: index.json lists no image or several, or a manifest is missing or of another size.
        ManifestInvalid, DigestInvalid: a document is not what it should be.
    """
    if INDEX not in files:
        raise MemberInvalid("no index.json is in it")
    documents = blob_documents(files)
    root = _root_descriptor(files[INDEX])
    manifests = _walk(root, documents, selection or Selection())
    return Layout(root.digest, manifests, frozenset(_versions(root, manifests[root.digest], documents)))


def blob_documents(files: Mapping[str, bytes]) -> dict[Digest, bytes]:
    """Those below `blobs/`, by digest."""
    return {blob_digest(name): body for name, body in files.items() if is_blob(name)}


def children_first(root: Digest, manifests: Mapping[Digest, Manifest]) -> Iterator[tuple[Digest, Manifest]]:
    """As a registry wants them: each behind those that it lists."""
    waiting, done = [(root, False)], set[Digest]()
    while waiting:
        digest, is_ready = waiting.pop()
        if digest in done:
            continue
        if is_ready:
            done.add(digest)
            yield digest, manifests[digest]
            continue
        waiting.append((digest, True))
        waiting += [(child.digest, False) for child in manifests[digest].children if child.digest in manifests]


def is_blob(name: str) -> bool:
    """Whether a file of an archive lies where an image layout has its blobs."""
    return name.startswith(_BLOBS)


def is_layer(name: str) -> bool:
    """Whether a file of an archive is one that a docker-archive can have for a layer."""
    return name.endswith(_LAYER_SUFFIXES)


def blob_digest(name: str) -> Digest:
    """`blobs/<algorithm>/<hex>` as a digest.

    Raises:
        DigestInvalid: it is none.
    """
    return Digest.parse(name.removeprefix(_BLOBS).replace("/", ":"))


def _root_descriptor(body: bytes) -> Descriptor:
    """index.json must lead to one image; several entries are one image only if they name one digest."""
    index = as_object(load_json(body), INDEX)
    entries = [Descriptor.parse(entry) for entry in as_list(index, "manifests")]
    if len({entry.digest for entry in entries}) != 1:
        raise MemberInvalid(f"index.json lists {len(entries)} images, and one file must hold one")
    return entries[0]


def _walk(root: Descriptor, documents: Mapping[Digest, bytes], selection: Selection) -> dict[Digest, Manifest]:
    """The root manifest and all below it; every selected child of an index has to be there, or said to be left out."""
    left_out = root.annotations.get(LEFT_OUT, "").split()
    manifests: dict[Digest, Manifest] = {}
    waiting = [root]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest in manifests:
            continue
        manifest = _manifest(descriptor, documents)
        manifests[descriptor.digest] = manifest
        waiting += [
            child
            for child in selection.children(manifest)
            if child.digest in documents or str(child.digest) not in left_out
        ]
    return manifests


def _manifest(descriptor: Descriptor, documents: Mapping[Digest, bytes]) -> Manifest:
    body = documents.get(descriptor.digest)
    if body is None:
        raise MemberInvalid(f"manifest {descriptor.digest} is not in the archive")
    if len(body) != descriptor.size:
        raise MemberInvalid(f"manifest {descriptor.digest} has {len(body)} bytes, and {descriptor.size} were announced")
    if descriptor.media_type not in MANIFEST_TYPES:
        raise MemberInvalid(f"{descriptor.digest} is of type {descriptor.media_type!r}, which is no manifest's")
    return Manifest.parse(body, descriptor.media_type)


def _versions(root: Descriptor, manifest: Manifest, documents: Mapping[Digest, bytes]) -> Iterator[str]:
    """What the archive says its tag is: an annotation, or the version of the chart in it."""
    for annotations in (root.annotations, manifest.annotations):
        for key in (_REF_NAME, _VERSION):
            if key in annotations:
                yield annotations[key].rpartition(":")[2]
    if manifest.config is not None and manifest.config.media_type == HELM_CONFIG:
        body = documents.get(manifest.config.digest, b"{}")
        version = text_field(as_object(load_json(body), "chart's config"), "version")
        if version is not None:
            yield version
