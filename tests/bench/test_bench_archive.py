import gzip
import io
import tarfile
import zlib

from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from bench.archive import STORED_LIMIT, Archive, Entry, StoredGzip, deflate, files
from bench.filler import Pool
from bench.output import _gzip

names = st.text("abcdefgh/._-é", min_size=1, max_size=300).filter(lambda name: name.strip("/."))
bodies = st.binary(max_size=2000)


def unpacked(archive: Archive) -> dict[str, bytes]:
    """Name and bytes of every file in an archive."""
    with tarfile.open(fileobj=io.BytesIO(archive.to_bytes())) as tar:
        return {info.name: body.read() for info in tar if (body := tar.extractfile(info))}


@given(st.dictionaries(names, bodies, max_size=5))
def test_an_archive_knows_its_size_without_reading_its_content(members: dict[str, bytes]) -> None:
    archive = Archive(files(members))
    assert archive.size == len(archive.to_bytes())


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), bodies))
def test_an_archive_holds_what_was_put_in(members: dict[str, bytes]) -> None:
    assert unpacked(Archive(files(members))) == members


def test_an_archive_can_be_a_member_of_another() -> None:
    inner = Archive(files({"a": b"1" * 1000}))
    assert unpacked(Archive((inner.as_entry("inner.tar"),))) == {"inner.tar": inner.to_bytes()}


def test_links_and_devices_keep_their_kind_and_mode() -> None:
    entries = (
        Entry.directory("bin"),
        Entry.file("bin/busybox", b"#!", 0o755),
        Entry.link("bin/sh", "busybox"),
        Entry.link("bin/ash", "bin/busybox", tarfile.LNKTYPE),
        Entry.device("null"),
    )
    with tarfile.open(fileobj=io.BytesIO(Archive(entries).to_bytes())) as tar:
        assert [info.type for info in tar] == [entry.kind for entry in entries]
        assert tar.getmember("bin/busybox").mode == 0o755
        assert tar.getmember("bin/sh").linkname == "busybox"


@given(st.lists(st.binary(max_size=3000)))
def test_stored_gzip_unpacks_to_what_was_packed(chunks: list[bytes]) -> None:
    assert gzip.decompress(b"".join(StoredGzip(chunks))) == b"".join(chunks)


def test_stored_gzip_splits_long_chunks() -> None:
    chunk = bytes(3 * STORED_LIMIT + 1)
    assert gzip.decompress(b"".join(StoredGzip([chunk]))) == chunk


def test_deflated_content_unpacks_to_what_was_packed() -> None:
    assert gzip.decompress(deflate((b"a", b"b"))) == b"ab"


@given(st.lists(st.one_of(st.sampled_from([b"x" * 5000, b"y" * 5000]), st.binary(max_size=100))))
def test_chunks_deflated_beforehand_fit_into_the_stream(chunks: list[bytes]) -> None:
    frequent = [b"x" * 5000, b"y" * 5000]
    packed = b"".join(_gzip(chunks, frequent))
    assert gzip.decompress(packed) == isal_zlib.decompress(packed, 31) == b"".join(chunks)


def test_filler_has_the_size_asked_for() -> None:
    pool = Pool.from_seed(1)
    for size in (0, 1, 16, 17, STORED_LIMIT, STORED_LIMIT + 16, STORED_LIMIT + 17, 1_000_000):
        assert len(b"".join(pool.filler("key", size))) == size


def test_filler_differs_by_key_and_by_seed_and_repeats_itself() -> None:
    one, other = Pool.from_seed(1), Pool.from_seed(2)
    bodies = [b"".join(pool.filler(key, 100_000)) for pool, key in ((one, "a"), (one, "b"), (other, "a"), (one, "a"))]
    assert len(set(bodies)) == 3
    assert bodies[0] == bodies[3]


def test_filler_is_hardly_compressible_and_yet_not_merely_stored() -> None:
    body = b"".join(Pool.from_seed(1).filler("key", 3_000_000))
    assert 0.94 < len(zlib.compress(body)) / len(body) < 0.97
