"""Blobs that need not be read again: the store has them, or this load has met them."""

from collections.abc import Iterable

from loader.archive import Blob
from loader.futures import finished
from registry.oci.digest import Digest
from registry.storage.blobs import StoredBlob
from registry.storage.store import Store


class Seen:
    """What is known of blobs: those under way as futures, which take 2.4 KB each, all others as what they became."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: dict[Digest, Blob] = {}
        self._stored: dict[Digest, StoredBlob] = {}

    def blob(self, digest: Digest) -> Blob | None:
        """The blob, if the store has it, or if another archive of this bundle brought it and it was good."""
        under_way = self._under_way.get(digest)
        if under_way is not None:
            # Not done yet: waiting for it is cheaper than a second copy, and tells whether this one is needed.
            return under_way if under_way.exception() is None else None
        stored = self._stored.get(digest) or self._store.find_blob(digest)
        if stored is None:
            return None
        self._stored[digest] = stored
        return finished(stored)

    def begin(self, digest: Digest, blob: Blob) -> None:
        """Remember a blob that an archive brings."""
        self._under_way[digest] = blob

    def settle(self, digests: Iterable[Digest]) -> None:
        """Remember no more than needed of blobs that are done; those that failed may come again."""
        for digest in digests:
            blob = self._under_way.pop(digest, None)
            if blob is not None and blob.exception() is None:
                self._stored[digest] = blob.result()
