"""One file out of a layer: whatever the layer is packed with, and whoever made it."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bench.archive import Archive, Dialect, Entry
from registry.oci.digest import Digest
from registry.storage import layers
from registry.storage.layers import LayerInvalid, file_in_layer

PATH = "usr/local/bin/k0s"
LIMIT = 1_000_000
BODY = bytes(range(256)) * 1000
GOOD = (Entry.directory("usr"), Entry.file("etc/passwd", b"root"), Entry.file(PATH, BODY, 0o755), Entry.file("z", b"z"))


def tar(entries: Iterable[Entry] = GOOD, dialect: Dialect = tarfile.PAX_FORMAT) -> bytes:
    return Archive(tuple(entries), dialect).to_bytes()


def read(raw: bytes, digest: Digest | None = None) -> bytes:
    return b"".join(file_in_layer(io.BytesIO(raw), digest or Digest.of(raw), PATH, LIMIT))


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.compress, lambda raw: gzip.compress(raw[:700]) + gzip.compress(raw[700:])]
)
@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_file_is_found_however_the_layer_is_packed(pack: Callable[[bytes], bytes], dialect: Dialect) -> None:
    assert read(pack(tar(GOOD, dialect))) == BODY


def test_a_leading_dot_is_no_other_name() -> None:
    assert read(tar([Entry.file(f"./{PATH}", BODY)])) == BODY


def test_a_layer_without_it_gives_nothing() -> None:
    names = ("k0s", f"x/{PATH}", f"{PATH}/x", f"../{PATH}", f"/{PATH}", f"{PATH}2", "long/" * 60 + PATH)
    assert read(tar(Entry.file(name, b"x") for name in names)) == b""
    assert read(tar([])) == b""


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_link_or_special_file_in_its_place_is_refused(kind: bytes) -> None:
    with pytest.raises(LayerInvalid, match="link or a special"):
        read(tar([Entry(PATH, kind=kind, target="/etc/shadow")]))


def test_a_name_in_an_extension_is_another_file() -> None:
    info = tarfile.TarInfo(PATH)
    info.size, info.pax_headers = 3, {"path": "etc/other"}
    raw = info.tobuf(tarfile.PAX_FORMAT) + b"abc" + bytes(509)
    assert read(raw + tar()) == BODY


@pytest.mark.parametrize("key", ["size", "GNU.sparse.major", "GNU.sparse.realsize"])
def test_a_sparse_or_resized_entry_is_refused(key: str) -> None:
    info = tarfile.TarInfo(PATH)
    info.pax_headers = {key: "1"}
    with pytest.raises(LayerInvalid, match="sparse"):
        read(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))


@pytest.mark.parametrize("size", [0, LIMIT + 1, 2**40])
def test_a_file_of_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(LayerInvalid, match="bytes"):
        read(tar([Entry(PATH, size=size)], tarfile.GNU_FORMAT))


def test_a_bomb_is_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_LAYER_LIMIT", 3_000_000)
    bomb = gzip.compress(tar([Entry("zeros", (bytes(4_000_000),), 4_000_000), *GOOD]))
    assert len(bomb) < 10_000
    with pytest.raises(LayerInvalid, match="says that it has"):
        read(bomb)
    many = gzip.compress(tar([*(Entry("zeros", (bytes(1_000_000),), 1_000_000) for _ in range(4)), *GOOD]))
    with pytest.raises(LayerInvalid, match="unpacks to more"):
        read(many)


def test_a_layer_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_ENTRIES_LIMIT", 10)
    with pytest.raises(LayerInvalid, match="entries"):
        read(tar([*(Entry.directory(str(number)) for number in range(10)), *GOOD]))


def test_attributes_without_end_are_not_read() -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "x" * 100_000}
    with pytest.raises(LayerInvalid, match="attributes"):
        read(info.tobuf(tarfile.PAX_FORMAT) + tar())


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_bytes_that_are_not_the_digests_are_refused(pack: Callable[[bytes], bytes]) -> None:
    raw = pack(tar())
    with pytest.raises(LayerInvalid, match="other bytes"):
        read(raw, Digest.of(b"else"))


@given(cut=st.integers(1, 2000), pack=st.sampled_from([bytes, gzip.compress, zstandard.compress]))
def test_a_cut_anywhere_is_noticed(cut: int, pack: Callable[[bytes], bytes]) -> None:
    raw = pack(tar())
    with pytest.raises(LayerInvalid):
        read(raw[:-cut] if cut < len(raw) else b"", Digest.of(raw))


@given(st.binary(min_size=512, max_size=3000))
def test_noise_is_refused_in_one_way(noise: bytes) -> None:
    with suppress(LayerInvalid):
        assert read(noise) == b""


@given(st.data())
def test_a_damaged_layer_never_gives_a_file(data: st.DataObject) -> None:
    raw = gzip.compress(tar(), mtime=0)
    damaged = bytearray(raw)
    damaged[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(LayerInvalid):
        assert read(bytes(damaged), Digest.of(raw)) == b""
