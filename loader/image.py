"""An archive's documents read as one image: OCI layout or docker-archive, whole or refused."""

from collections.abc import Collection
from dataclasses import dataclass

from loader.docker import convert
from loader.errors import MemberInvalid
from loader.ingest import Archive
from loader.layout import INDEX, blob_documents, read_layout
from loader.naming import reference_for
from loader.selection import Selection
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.storage.blobs import StoredBlob
from registry.storage.store import Image, Store
from registry.storage.uploads import LOAD_PREFIX


@dataclass(frozen=True, slots=True)
class Content:
    """The documents of an image before it has a name: its root, the manifests below it, what it says of itself."""

    root: Digest
    manifests: dict[Digest, Manifest]
    documents: dict[Digest, bytes]
    blobs: dict[Digest, StoredBlob]
    versions: Collection[str]


def assemble(archive: Archive, store: Store, selection: Selection) -> Image:
    """The image that a settled archive holds, under the name its path gives.

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
    blobs = tuple(_blob(descriptor, content, store) for descriptor in needed.values())
    return Image(reference, content.root, tuple(content.manifests.items()), blobs)


def _oci(archive: Archive, selection: Selection) -> Content:
    layout = read_layout(archive.documents, selection)
    blobs = {blob.result().digest: blob.result() for blob in archive.blobs.values()}
    return Content(layout.root, layout.manifests, blob_documents(archive.documents), blobs, layout.versions)


def _docker(archive: Archive, store: Store) -> Content:
    if "manifest.json" not in archive.documents:
        raise MemberInvalid("neither an OCI layout (index.json) nor a docker-archive (manifest.json) is in it")
    converted = convert(archive, store.blobs)
    digest = Digest.of(converted.manifest.body)
    documents = {Digest.of(converted.config): converted.config}
    blobs = {layer.digest: layer for layer in converted.layers}
    return Content(digest, {digest: converted.manifest}, documents, blobs, converted.tags)


def _blob(descriptor: Descriptor, content: Content, store: Store) -> StoredBlob:
    """The blob that a descriptor asks for, of exactly its size."""
    blob = content.blobs.get(descriptor.digest)
    if blob is None and descriptor.digest in content.documents:
        blob = _write(descriptor.digest, content.documents[descriptor.digest], store)
    if blob is None:
        raise MemberInvalid(f"blob {descriptor.digest} is not in the archive")
    if blob.size != descriptor.size:
        raise MemberInvalid(f"blob {blob.digest} has {blob.size} bytes, and {descriptor.size} were announced")
    return blob


def _write(digest: Digest, body: bytes, store: Store) -> StoredBlob:
    """A document that a manifest uses as a blob, such as a config, becomes one."""
    with store.snapshot() as snapshot:
        known = snapshot.blob(digest)
    if known is not None:
        return known
    with store.blobs.create(digest, prefix=LOAD_PREFIX) as writer:
        writer.write(body)
        return writer.commit(digest, durable=False)
