"""Bytes become a blob whole and verified, or leave nothing."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, SizeInvalid
from registry.storage.blobs import BlobWriter
from registry.storage.errors import StorageUnusable
from registry.storage.store import Store
from registry.storage.uploads import UploadFile
from tests.images import write_blob


def files(store: Store, folder: str) -> list[Path]:
    return [path for path in (store.blobs.roots[0].layout.root / folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_what_is_written_is_what_lies_there(store: Store, algorithm: str, durable: bool) -> None:
    content = bytes(range(256)) * 20_000
    with store.blobs.create(Digest.of(content, algorithm)) as writer:
        for start in range(0, len(content), 77_777):
            writer.write(content[start : start + 77_777])
        blob = writer.commit(Digest.of(content, algorithm), len(content), durable=durable)
    assert store.blobs.path(blob.root, blob.digest).read_bytes() == content
    assert (blob.size, blob.checksum) == (len(content), xxhash.xxh3_128_digest(content))
    assert files(store, "uploads") == []


def test_without_a_digest_the_bytes_name_themselves(store: Store) -> None:
    with store.blobs.create() as writer:
        writer.write(b"abc")
        assert writer.commit().digest.hex == hashlib.sha256(b"abc").hexdigest()


def test_the_empty_blob_is_a_blob(store: Store) -> None:
    with store.blobs.create() as writer:
        assert writer.commit(Digest.of(b""), 0).size == 0


@pytest.mark.parametrize(
    ("expected", "size", "error"),
    [
        (Digest.of(b"other"), 3, DigestInvalid),
        (Digest.of(b"abc"), 4, SizeInvalid),
        (Digest.of(b"abc", "sha512"), 3, DigestInvalid),
    ],
)
def test_what_does_not_match_is_refused_and_gone(
    store: Store, expected: Digest, size: int, error: type[Exception]
) -> None:
    writer = store.blobs.create(Digest.of(b"abc"))
    writer.write(b"abc")
    with pytest.raises(error):
        writer.commit(expected, size)
    assert files(store, "uploads") == files(store, "blobs") == []


def test_an_abandoned_writer_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.blobs.create() as writer:
        writer.write(b"abc")
        raise RuntimeError
    assert files(store, "uploads") == files(store, "blobs") == []


@settings(max_examples=25, deadline=None)
@given(content=st.binary(max_size=3_000_000))
def test_a_file_that_was_written_without_hashing_is_adopted(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store.open([tmp_path_factory.mktemp("adopt") / "store"])
    upload = UploadFile.create(store.blobs.roots[0].layout)
    upload.append(content)
    upload.close()
    writer = BlobWriter.adopt(store.blobs.roots[0], upload.path)
    writer.write(b"more")
    blob = writer.commit(Digest.of(content + b"more"), len(content) + 4)
    assert store.blobs.path(blob.root, blob.digest).read_bytes() == content + b"more"
    store.close()


def test_a_blob_may_be_written_again_while_it_is_read(store: Store) -> None:
    for _ in range(2):
        with store.blobs.create(Digest.of(b"abc")) as writer:
            writer.write(b"abc")
            blob = writer.commit()
    with store.blobs.open(blob.root, blob.digest) as file:
        assert file.read() == b"abc"


def can_tell_what_is_cached(file: int) -> bool:
    """Not every file system can: a tmpfs has no disk to wait for."""
    try:
        os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError as error:
        return error.errno != errno.EOPNOTSUPP
    return True


def test_a_part_that_the_page_cache_has_is_read_at_once_and_the_disk_is_not_waited_for(store: Store) -> None:
    content = bytes(range(256)) * 100
    blob = write_blob(store, content)
    assert store.read_cached_blob(blob, 1000, 20_000) == content[1000:21_000]
    path = store.blobs.path(blob.root, blob.digest)
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        is_told = can_tell_what_is_cached(file.fileno())
    assert (store.read_cached_blob(blob, 1000, 20_000) is None) == is_told
    path.read_bytes()
    assert store.read_cached_blob(blob, 1000, 20_000) is not None
    os.truncate(path, 20_000)
    with pytest.raises(StorageUnusable, match="too short"):
        store.read_cached_blob(blob, 1000, 20_000)


def test_a_file_that_cannot_be_read_back_leaves_no_descriptor_open(store: Store, tmp_path: Path) -> None:
    unreadable = tmp_path / "unreadable"
    unreadable.symlink_to("/proc/self/mem")  # its first page is in no process's memory: EIO
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(StorageUnusable, match="Input/output"):
        BlobWriter.adopt(store.blobs.roots[0], unreadable)
    assert set(os.listdir("/proc/self/fd")) == before
