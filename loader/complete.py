"""Whether the store still holds what a load once brought, down to the last row; no file is touched."""

from loader.selection import Selection
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.index import Snapshot


def is_complete(snapshot: Snapshot, reference: Reference, root: Digest, selection: Selection) -> bool:
    """Whether the tag leads to this manifest, and the repository has all below it that is selected."""
    name = reference.repository
    if snapshot.tagged(name, reference.tag) != root:
        return False
    seen: set[Digest] = set()
    waiting = [root]
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        stored = snapshot.manifest(name, digest)
        if stored is None:
            return False
        manifest = Manifest.parse(stored.body, stored.media_type)
        if any(snapshot.linked_blob(name, blob.digest) is None for blob in manifest.blobs):
            return False
        waiting += [child.digest for child in selection.children(manifest)]
    return True
