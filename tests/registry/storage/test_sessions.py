"""Upload sessions: the file's length is the offset, one writes at a time, nothing is read twice, nothing is left."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from registry.oci.errors import BlobUploadInvalid, BlobUploadUnknown, DigestInvalid, TooManyRequests, UploadOutOfOrder
from registry.oci.reference import RepositoryName
from registry.storage.store import Store
from registry.storage.upload_rows import all_uploads
from registry.storage.uploads import LOAD_PREFIX, UploadFile

NAME = RepositoryName("a/b")
CONTENT = os.urandom(100_000)
DIGEST = Digest.of(CONTENT)


def path_of(store: Store, upload: str) -> Path:
    return store.blobs.roots[0].layout.upload(upload)


def files(store: Store) -> list[str]:
    return os.listdir(store.blobs.roots[0].layout.uploads)


def rows(store: Store) -> list[str]:
    with store.snapshot() as snapshot:
        return [row.id for row in all_uploads(snapshot)]


def body_of(store: Store, digest: Digest) -> bytes:
    with store.open_blob(store.stat_blob(NAME, digest)) as file:
        return file.read()


def grow_old(path: Path, seconds: int) -> None:
    facts = path.stat()
    os.utime(path, (facts.st_atime - seconds, facts.st_mtime - seconds))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is read back of upload files."""
    counts: list[int] = []
    preadv = os.preadv

    def counted(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        counts.append(preadv(descriptor, buffers, offset))
        return counts[-1]

    monkeypatch.setattr(os, "preadv", counted)
    return counts


def test_the_length_of_the_file_is_the_offset(store: Store) -> None:
    upload = store.uploads.start(NAME)
    assert store.uploads.offset(NAME, upload) == 0
    assert store.uploads.append(NAME, upload, [b"abc", b"de"], None) == 5
    assert store.uploads.append(NAME, upload, [b"f"], 5) == 6
    assert store.uploads.offset(NAME, upload) == path_of(store, upload).stat().st_size == 6
    with pytest.raises(UploadOutOfOrder) as refusal:
        store.uploads.append(NAME, upload, [b"x"], 5)
    assert refusal.value.offset == store.uploads.offset(NAME, upload) == 6


def test_any_store_over_the_same_roots_goes_on_with_it(store: Store) -> None:
    upload = store.uploads.start(NAME)
    store.uploads.append(NAME, upload, [CONTENT[:10]], 0)
    store.close()
    other = Store.open([store.blobs.roots[0].layout.root])
    other.uploads.append(NAME, upload, [CONTENT[10:]], 10)
    other.uploads.finish(NAME, upload, DIGEST, [], None)
    assert body_of(other, DIGEST) == CONTENT
    assert files(other) == rows(other) == []
    other.close()


def test_what_came_before_a_broken_body_stays(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield CONTENT[:10]
        raise BlobUploadInvalid("broken")

    upload = store.uploads.start(NAME)
    for offset in (10, 20):
        with pytest.raises(BlobUploadInvalid):
            store.uploads.append(NAME, upload, broken(), None)
        assert store.uploads.offset(NAME, upload) == offset
    store.uploads.finish(NAME, upload, Digest.of(CONTENT[:10] * 2), [], 20)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_blob_in_one_request_is_never_read_again(store: Store, reads: list[int], algorithm: str) -> None:
    digest = Digest.of(CONTENT, algorithm)
    store.uploads.finish(NAME, store.uploads.start(NAME), digest, [CONTENT], None)
    assert body_of(store, digest) == CONTENT
    assert reads == []


def test_a_blob_in_one_patch_is_not_read_again_by_the_put(store: Store, reads: list[int]) -> None:
    upload = store.uploads.start(NAME)
    store.uploads.append(NAME, upload, [CONTENT], 0)
    store.uploads.finish(NAME, upload, DIGEST, [], None)
    assert body_of(store, DIGEST) == CONTENT
    assert reads == []


@pytest.mark.parametrize("then", ["more in a patch", "more in the put", "another algorithm"])
def test_a_known_hash_is_used_for_those_bytes_alone(store: Store, reads: list[int], then: str) -> None:
    upload, content, last = store.uploads.start(NAME), CONTENT, b""
    store.uploads.append(NAME, upload, [CONTENT], 0)
    if then != "another algorithm":
        content += b"more"
    if then == "more in a patch":
        store.uploads.append(NAME, upload, [b"more"], None)
    elif then == "more in the put":
        last = b"more"
    digest = Digest.of(content, "sha512" if then == "another algorithm" else "sha256")
    store.uploads.finish(NAME, upload, digest, [last], None)
    assert body_of(store, digest) == content
    assert sum(reads) == len(content)


def test_a_known_hash_does_not_help_a_wrong_digest(store: Store) -> None:
    upload = store.uploads.start(NAME)
    store.uploads.append(NAME, upload, [CONTENT], 0)
    with pytest.raises(DigestInvalid):
        store.uploads.finish(NAME, upload, Digest.of(b"other"), [], None)
    assert files(store) == rows(store) == []


def test_one_writes_at_a_time(store: Store) -> None:
    upload = store.uploads.start(NAME)

    def interrupted() -> Iterator[bytes]:
        yield b"x"
        with pytest.raises(TooManyRequests):
            store.uploads.append(NAME, upload, [b"y"], None)
        with pytest.raises(TooManyRequests):
            store.uploads.finish(NAME, upload, DIGEST, [b"y"], None)
        yield b"z"

    assert store.uploads.append(NAME, upload, interrupted(), None) == 2
    assert store.uploads.append(NAME, upload, interrupted(), None) == 4
    assert path_of(store, upload).read_bytes() == b"xzxz"


@pytest.mark.parametrize("end", ["finished", "cancelled"])
def test_a_lock_that_came_too_late_is_none(store: Store, end: str) -> None:
    upload = store.uploads.start(NAME)
    late = UploadFile.open(path_of(store, upload))
    if end == "finished":
        store.uploads.finish(NAME, upload, DIGEST, [CONTENT], None)
    else:
        store.uploads.cancel(NAME, upload)
    assert not late.try_lock(), "its bytes would end up in a finished blob"
    late.close()


def test_a_session_that_is_cancelled_while_it_is_written_to_is_unknown(store: Store) -> None:
    for first, work in ((True, "append"), (False, "append"), (True, "finish"), (False, "finish")):
        upload = store.uploads.start(NAME)
        if not first:
            store.uploads.append(NAME, upload, [b"first"], None)

        def cancelled(upload: str = upload) -> Iterator[bytes]:
            yield CONTENT
            store.uploads.cancel(NAME, upload)

        with pytest.raises(BlobUploadUnknown):
            if work == "append":
                store.uploads.append(NAME, upload, cancelled(), None)
            else:
                digest = DIGEST if first else Digest.of(b"first" + CONTENT)
                store.uploads.finish(NAME, upload, digest, cancelled(), None)
        assert files(store) == rows(store) == []


def test_no_more_sessions_than_allowed(tmp_path: Path) -> None:
    store = Store.open([tmp_path / "store"], upload_limit=2)
    uploads = [store.uploads.start(NAME) for _ in range(2)]
    with pytest.raises(TooManyRequests):
        store.uploads.start(NAME)
    assert len(files(store)) == 2
    store.uploads.cancel(NAME, uploads[0])
    store.uploads.start(NAME)
    store.close()


def test_idle_sessions_expire_and_others_stay(store: Store) -> None:
    old, fresh = store.uploads.start(NAME), store.uploads.start(NAME)
    store.uploads.append(NAME, old, [CONTENT], None)
    grow_old(path_of(store, old), 100)
    assert list(store.uploads.expire(200)) == []
    assert list(store.uploads.expire(60)) == [old]
    assert files(store) == rows(store) == [fresh]
    with pytest.raises(BlobUploadUnknown):
        store.uploads.offset(NAME, old)


def test_bytes_make_an_old_session_young(store: Store) -> None:
    upload = store.uploads.start(NAME)
    grow_old(path_of(store, upload), 100)
    store.uploads.append(NAME, upload, [b"x"], None)
    assert list(store.uploads.expire(60)) == []


def test_a_session_that_somebody_is_at_does_not_expire(store: Store) -> None:
    upload = store.uploads.start(NAME)
    expired: list[str] = []

    def slow() -> Iterator[bytes]:
        yield b"x"
        grow_old(path_of(store, upload), 100)
        thread = threading.Thread(target=lambda: expired.extend(store.uploads.expire(60)))
        thread.start()
        thread.join()

    assert store.uploads.append(NAME, upload, slow(), None) == 1
    assert expired == []


def test_a_file_that_belongs_to_no_session_is_removed_unless_a_load_is_at_it(store: Store) -> None:
    for name in ("leftover", f"{LOAD_PREFIX}x"):
        path_of(store, name).write_bytes(b"x")
        grow_old(path_of(store, name), 100)
    assert list(store.uploads.expire(60)) == ["leftover"]
    assert files(store) == [f"{LOAD_PREFIX}x"]


def test_a_session_without_its_file_is_unknown_and_is_forgotten(store: Store) -> None:
    upload = store.uploads.start(NAME)
    path_of(store, upload).unlink()
    with pytest.raises(BlobUploadUnknown):
        store.uploads.offset(NAME, upload)
    with pytest.raises(BlobUploadUnknown):
        store.uploads.append(NAME, upload, [b"x"], None)
    assert list(store.uploads.expire(60)) == [upload]
    assert rows(store) == []
