"""Images for tests: small trees of manifests and blobs, put into a store or into a bundle."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.archive import Archive, Entry, files
from bench.layout import INDEX, MANIFEST, Tree, image, layer
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.blobs import StoredBlob
from registry.storage.store import Image, Store


def small_image(seed: str = "x", size: int = 100, **fields: object) -> Tree:
    """An image of one layer that depends on `seed`."""
    return image([layer(files({f"{seed}.bin": os.urandom(size)}))], **fields)  # type: ignore[arg-type]


def write_blob(store: Store, content: bytes) -> StoredBlob:
    """A durable blob."""
    with store.blobs.create(Digest.of(content)) as writer:
        writer.write(content)
        return writer.commit()


def as_image(store: Store, tree: Tree, reference: str, algorithm: str = "sha256") -> Image:
    """What `Store.publish` takes; the blobs are written first."""
    bodies = {blob.digest: (blob.media_type, b"".join(blob.content)) for blob in tree.blobs}
    documents = [
        (Digest.of(body, algorithm), Manifest.parse(body, kind))
        for kind, body in bodies.values()
        if kind in (MANIFEST, INDEX)
    ]
    blobs = [write_blob(store, body) for kind, body in bodies.values() if kind not in (MANIFEST, INDEX)]
    root = Digest.of(b"".join(tree.root.content), algorithm)
    return Image(Reference.parse(reference), root, tuple(documents), tuple(blobs))


def publish(store: Store, tree: Tree, reference: str, algorithm: str = "sha256") -> Digest:
    """Let `tree` be seen as `reference`; returns the digest of its root."""
    made = as_image(store, tree, reference, algorithm)
    store.publish(made)
    return made.root


def write_tar(path: Path, archives: Mapping[str, Archive], extra: Iterable[Entry] = ()) -> Path:
    """A plain tar with these archives as members."""
    return Archive((*(archive.as_entry(name) for name, archive in archives.items()), *extra)).write(path)
