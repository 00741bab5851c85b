"""What a load remembers of blobs: enough to pass them over, and no more."""

import tracemalloc
from concurrent.futures import Future

from loader.archive import Blob
from loader.errors import MemberInvalid
from loader.seen import Seen
from registry.oci.digest import Digest
from registry.storage.blobs import StoredBlob
from registry.storage.store import Store
from tests.images import write_blob


def brought(number: int) -> tuple[Digest, Blob]:
    digest = Digest.of(str(number).encode())
    blob: Blob = Future()
    blob.set_result(StoredBlob(digest, number, 0, number.to_bytes(16)))
    return digest, blob


def test_a_hundred_thousand_blobs_take_less_than_a_hundred_megabytes(store: Store) -> None:
    seen = Seen(store)
    tracemalloc.start()
    try:
        for number in range(2_000):
            digest, blob = brought(number)
            seen.begin(digest, blob)
            seen.settle([digest])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1_000 * 2_000
    known = seen.blob(digest)
    assert known is not None
    assert known.result() == blob.result()


def test_a_blob_that_failed_may_come_again(store: Store) -> None:
    seen, (digest, good) = Seen(store), brought(1)
    bad: Blob = Future()
    bad.set_exception(MemberInvalid("damaged"))
    seen.begin(digest, bad)
    assert seen.blob(digest) is None
    seen.settle([digest])
    assert seen.blob(digest) is None
    seen.begin(digest, good)
    assert seen.blob(digest) is good


def test_what_the_store_has_is_known(store: Store) -> None:
    stored = write_blob(store, b"content")
    with store.index.change() as change:
        change.put_blob(stored, 0)
    known = Seen(store).blob(stored.digest)
    assert known is not None
    assert known.result() == stored
