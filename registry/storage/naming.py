"""The moment in which something gets a name: what it needs is looked for in the very transaction that names it.

For a blob that is its file: the one answer to everything that removes files.
"""

import time

from registry.oci.errors import ManifestBlobUnknown
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName
from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.errors import BlobGone
from registry.storage.index import Change


def name_blob(change: Change, blobs: BlobStore, blob: StoredBlob) -> None:
    """Let the index name a blob, and say that a client was told of it now.

    Where a row is there it stays, unless its file is gone or is the one that was just written.
    Files are removed only by those who hold the index alone, so what is seen here stays true
    until the change is durable.

    Raises:
        BlobGone: the file was taken away before it had a name. Nothing is lost that was promised.
    """
    known = change.blob(blob.digest)
    if known is not None and known.root != blob.root and blobs.has(known):
        blob = known
    elif not blobs.has(blob):
        raise BlobGone(f"the file of {blob.digest} is gone before it had a name: push or load it again")
    change.put_blob(blob, time.time())


def require_content(change: Change, name: RepositoryName, manifest: Manifest) -> None:
    """end-7: everything but the subject has to be there, and this repository has to see it.

    Raises:
        ManifestBlobUnknown: something is not.
    """
    for blob in manifest.blobs:
        # A link alone is not enough: a scrub may have taken the blob away.
        if change.linked_blob(name, blob.digest) is None and not change.has_manifest(name, blob.digest):
            raise ManifestBlobUnknown(f"{name} has no {blob.digest}")
    for child in manifest.children:
        if not change.has_manifest(name, child.digest):
            raise ManifestBlobUnknown(f"{name} has no {child.digest}")


def link_blobs(change: Change, name: RepositoryName, manifest: Manifest) -> None:
    """Let a repository see all blobs that this manifest needs.

    Raises:
        ManifestBlobUnknown: the store does not have one of them.
    """
    for descriptor in manifest.blobs:
        if change.blob(descriptor.digest) is None:
            raise ManifestBlobUnknown(f"{name} needs {descriptor.digest}")
        change.link_blob(name, descriptor.digest)
