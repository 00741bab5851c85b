"""An archive's documents read as one image: OCI layout or docker-archive, whole or refused."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from loader.archive import Archive
from loader.docker import convert
from loader.errors import MemberInvalid
from loader.layout import INDEX, blob_documents, read_layout
from loader.naming import reference_for
from loader.selection import Selection
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.storage.blobs import StoredBlob
from registry.storage.store import Image, Store
from registry.storage.uploads import LOAD_PREFIX
from registry.units import human


@dataclass(frozen=True, slots=True)
class Content:
    """The documents of an image before it has a name: its root, the manifests below it, what it says of itself."""

    root: Digest
    manifests: dict[Digest, Manifest]
    documents: dict[Digest, bytes]
    blobs: dict[Digest, StoredBlob]
    versions: Collection[str]
    brought: set[Digest]
    """Those of its blobs that the store did not have before."""


def assemble(archive: Archive, store: Store, selection: Selection) -> Image:
    """The image that a settled archive holds, under the name its path gives; what of it is written counts as brought.

    Raises:
        MemberInvalid: it is no image, not one image, incomplete, or its path is no name.
        OCIError: a document in it is not what it should be.
        StorageError: the disk refuses.
    """
    if archive.fault is not None:
        raise archive.fault
    content = _oci(archive, selection) if INDEX in archive.documents else _docker(archive, store)
    reference = reference_for(archive.path, content.versions, selection.prefix)
    needed = {blob.digest: blob for manifest in content.manifests.values() for blob in manifest.blobs}
    blobs = _blobs(needed.values(), content, store)
    return Image(reference, content.root, tuple(content.manifests.items()), blobs)


def _oci(archive: Archive, selection: Selection) -> Content:
    layout = read_layout(archive.documents, selection)
    blobs = {blob.result().digest: blob.result() for blob in archive.blobs.values()}
    return Content(
        layout.root, layout.manifests, blob_documents(archive.documents), blobs, layout.versions, archive.brought
    )


def _docker(archive: Archive, store: Store) -> Content:
    if "manifest.json" not in archive.documents:
        raise MemberInvalid("neither an OCI layout (index.json) nor a docker-archive (manifest.json) is in it")
    converted = convert(archive, store.blobs)
    digest = Digest.of(converted.manifest.body)
    documents = {Digest.of(converted.config): converted.config}
    blobs = {layer.digest: layer for layer in converted.layers}
    return Content(digest, {digest: converted.manifest}, documents, blobs, converted.tags, archive.brought)


def _blobs(needed: Iterable[Descriptor], content: Content, store: Store) -> tuple[StoredBlob, ...]:
    """The blobs of an image; a delta leaves out those that the store has."""
    found, missing = [], []
    for descriptor in needed:
        blob = _blob(descriptor, content, store)
        if blob is None:
            missing.append(descriptor)
        else:
            found.append(blob)
    if missing:
        raise blobs_missing(missing, "in the store")
    return tuple(found)


def blobs_missing(missing: Sequence[Descriptor], elsewhere: str) -> MemberInvalid:
    """What an operator has to know of an archive that is not whole."""
    size = human(sum(each.size for each in missing))
    return MemberInvalid(
        f"{len(missing)} of its blobs ({size}) are neither in the archive nor {elsewhere}, {missing[0].digest} first: "
        "if this is a delta, load the bundle that it builds on first; else copy the bundle anew"
    )


def _blob(descriptor: Descriptor, content: Content, store: Store) -> StoredBlob | None:
    """The blob that a descriptor asks for, of exactly its size; None where neither archive nor store has it."""
    blob = content.blobs.get(descriptor.digest) or store.find_blob(descriptor.digest)
    if blob is None and descriptor.digest in content.documents:
        blob = _write(descriptor.digest, content, store)
    if blob is not None and blob.size != descriptor.size:
        raise MemberInvalid(f"blob {blob.digest} has {blob.size} bytes, and {descriptor.size} were announced")
    return blob


def _write(digest: Digest, content: Content, store: Store) -> StoredBlob:
    """A document that a manifest uses as a blob, such as a config, becomes one."""
    content.brought.add(digest)
    with store.blobs.create(digest, prefix=LOAD_PREFIX) as writer:
        writer.write(content.documents[digest])
        return writer.commit(digest, durable=False)
