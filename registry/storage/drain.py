"""A storage root emptied, so that its disk can go: every blob is copied to the others, and then named there.

A root that is being drained says so itself, in a file, and gets no new blobs from that moment, whichever
process writes them. Each copy is checked, durable and named in a transaction that looks whether the blob is
still where it was. The old files stay for who has just looked them up, and for the next gc.
"""

import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from registry.oci.digest import Digest
from registry.storage import inventory
from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.errors import StorageForeign, StorageMissing, disk_errors
from registry.storage.members import forget_blobs, members
from registry.storage.roots import Root, index_root, is_root, open_root, sync_directory
from registry.storage.store import Store

_ROWS = 256
_CHUNK = 1024 * 1024


def drain(store: Store, root: Root) -> Iterator[StoredBlob]:
    """Each blob that has been moved, as it was; nothing is left when it ends.

    Interrupted, it goes on with what is left. Uploads under way in that root end there, and are moved by
    the next run.

    Raises:
        StorageForeign: this root holds the index, or is the only one.
        StorageFull: the others have no room. What has been moved stays moved.
        DigestInvalid, SizeInvalid, StorageUnusable: a blob is not what it should be, or cannot be read; scrub sets it
            aside.
    """
    others = BlobStore(tuple(other for other in store.blobs.roots if other.number != root.number))
    if not others.roots:
        raise StorageForeign(f"{root.layout.root} is the only storage given: name where its blobs are to go, too")
    if index_root(store.blobs.roots).number == root.number:
        raise StorageForeign(
            f"{root.layout.root} holds the index, which cannot be moved while it is used: stop the registry, copy "
            f"all of it to another disk ('cp -a'), and name that in its place with --storage"
        )
    with disk_errors(root.layout.draining):
        root.layout.draining.touch()
        sync_directory(root.layout.root)
    place: Digest | None = None
    while rows := _rows(store, place):
        for blob in rows:
            if blob.root == root.number:
                _move(store, others, blob)
                yield blob
        place = rows[-1].digest


def give_up(store: Store, path: Path) -> Iterator[StoredBlob]:
    """Each blob that is lost with the disk of the root that was at `path`; afterwards the store does without it.

    Raises:
        StorageMissing: the store had no root there.
        StorageForeign: it is there, be it given or not.
    """
    with store.snapshot() as snapshot:
        found = [member for member in members(snapshot) if member.path == path and not member.is_lost]
    if not found:
        raise StorageMissing(f"this store has had no root at {path}: name it as 'store stats' and its messages do")
    if is_root(path) and open_root(path, create=False).id == found[-1].id:
        raise StorageForeign(f"{path} is not lost, its disk is there: drain it without --lost, or unmount it first")
    return forget_blobs(store.index, found[-1])


def stop_draining(root: Root) -> None:
    """Let the root have new blobs again."""
    with disk_errors(root.layout.draining):
        root.layout.draining.unlink(missing_ok=True)
        sync_directory(root.layout.root)


def _rows(store: Store, place: Digest | None) -> list[StoredBlob]:
    """The next ones; a snapshot that is held for hours would make the index grow."""
    with store.index.snapshot() as snapshot:
        return [blob for blob, _ in itertools.islice(inventory.blobs(snapshot, place), _ROWS)]


def _move(store: Store, others: BlobStore, blob: StoredBlob) -> None:
    path = store.blobs.path(blob.root, blob.digest)
    with closing(store.open_blob(blob)) as source, others.create(blob.digest) as writer:
        while chunk := _read(source, path):
            writer.write(chunk)
        copied = writer.commit(blob.digest, blob.size)
    with store.index.change() as change:
        if change.blob(blob.digest) == blob and others.has(copied):  # nobody removed or replaced it meanwhile
            change.put_blob(copied, inventory.last_told(change, blob.digest))


def _read(source: BinaryIO, path: Path) -> bytes:
    with disk_errors(path):
        return source.read(_CHUNK)
