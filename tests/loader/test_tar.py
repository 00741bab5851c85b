"""Reading tars front to back: every dialect, and everything that is wrong with one."""

import contextlib
import io
import os
import struct
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.archive import Archive, Dialect, Entry
from loader.errors import BundleTruncated, HeaderTooLarge, LoaderError, MemberInvalid
from loader.stream import DecompressedStream
from loader.tar import Kind, read_entries

TRUNCATED = BundleTruncated("cut")
DIALECTS: list[Dialect] = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def stream(raw: bytes) -> DecompressedStream:
    return DecompressedStream(Path("x"), io.BytesIO(raw))


def read(raw: bytes) -> list[tuple[str, Kind, bytes]]:
    return [(e.name, e.kind, e.content.read(e.content.size)) for e in read_entries(stream(raw), TRUNCATED)]


def tar(entries: Iterable[Entry], dialect: Dialect = tarfile.PAX_FORMAT) -> bytes:
    return Archive(tuple(entries), dialect).to_bytes()


@pytest.mark.parametrize("dialect", DIALECTS)
@given(bodies=st.lists(st.binary(max_size=2000), max_size=5))
def test_files_come_back_in_order(dialect: Dialect, bodies: list[bytes]) -> None:
    raw = tar((Entry.file(f"dir/{number}.tar", body) for number, body in enumerate(bodies)), dialect)
    assert read(raw) == [(f"dir/{number}.tar", Kind.FILE, body) for number, body in enumerate(bodies)]


@pytest.mark.parametrize("dialect", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_links_are_read(dialect: Dialect) -> None:
    long = "/".join(["folder"] * 60) + "/ä.tar"
    raw = tar([Entry.file(long, b"abc"), Entry.link("l", long), Entry.file("after", b"x")], dialect)
    entries = [(e.name, e.kind, e.target) for e in read_entries(stream(raw), TRUNCATED)]
    assert entries == [(long, Kind.FILE, ""), ("l", Kind.LINK, long), ("after", Kind.FILE, "")]


def test_every_kind_is_told() -> None:
    raw = tar(
        [
            Entry.directory("d"),
            Entry.link("h", "d", tarfile.LNKTYPE),
            Entry.device("c"),
            Entry.device("f", tarfile.FIFOTYPE),
        ]
    )
    assert [e.kind for e in read_entries(stream(raw), TRUNCATED)] == [Kind.DIRECTORY, Kind.LINK, Kind.OTHER, Kind.OTHER]


def test_what_the_reader_leaves_is_passed_over() -> None:
    raw = tar(Entry.file(str(number), bytes(3000)) for number in range(4))
    names = []
    for entry in read_entries(stream(raw), TRUNCATED):
        entry.content.read(entry.content.size // 2)
        names.append(entry.name)
    assert names == ["0", "1", "2", "3"]


def test_an_entry_gives_its_own_bytes_and_no_more() -> None:
    raw = tar([Entry.file("a", b"abc"), Entry.file("b", b"def")])
    entry = next(read_entries(stream(raw), TRUNCATED))
    assert entry.content.read(10_000) == b"abc"
    assert entry.content.read(10_000) == b""


@given(cut=st.integers(min_value=1, max_value=5 * 512 - 1))
def test_a_cut_anywhere_is_noticed(cut: int) -> None:
    raw = tar([Entry.file("a", bytes(600)), Entry.file("b", bytes(10))], tarfile.USTAR_FORMAT)
    boundary = cut in (512 + 1024, 512 + 1024 + 1024)  # looks like a tar whose writer left the end mark out
    if boundary:
        assert read(raw[:cut])
    else:
        with pytest.raises(MemberInvalid if cut < 512 else BundleTruncated):  # a stump of a header tells nothing
            read(raw[:cut])


@given(st.binary(min_size=512, max_size=3000))
def test_noise_is_refused_in_one_way(noise: bytes) -> None:
    with contextlib.suppress(LoaderError):
        read(noise)


def header(**fields: object) -> bytearray:
    info = tarfile.TarInfo("a.tar")
    for key, value in fields.items():
        setattr(info, key, value)
    return bytearray(info.tobuf(tarfile.GNU_FORMAT))


def sealed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("size", [-1, -(2**60), 2**60])
def test_a_size_that_cannot_be_is_refused(size: int) -> None:
    block = header()
    block[124:136] = struct.pack(">B", 0xFF if size < 0 else 0x80) + (size % 2**88).to_bytes(11, "big")
    with pytest.raises(MemberInvalid, match="bytes"):
        read(sealed(block))


@pytest.mark.parametrize("value", ["-5", "x", "1e3", "", "٣", "9" * 30])
def test_a_pax_size_that_is_no_number_is_refused(value: str) -> None:
    raw = _pax({"size": value})
    with pytest.raises((MemberInvalid, BundleTruncated)):
        read(raw + bytes(header()) + bytes(512))


def test_a_pax_size_overrides_the_header() -> None:
    raw = _pax({"size": "3", "path": "b.tar"}) + bytes(header(size=0)) + b"abc".ljust(512, b"\0")
    assert read(raw) == [("b.tar", Kind.FILE, b"abc")]


@pytest.mark.parametrize(
    "records", [b"x", b"5 ab\n", b"99 a=b\n", b"0 a=b\n", b" a=b\n", b"6 a=bc", b"6 abcd", b"6 a=b\n99 a"]
)
def test_damaged_attributes_are_refused(records: bytes) -> None:
    raw = bytes(header(type=tarfile.XHDTYPE, size=len(records))) + records.ljust(512, b"\0")
    with pytest.raises(MemberInvalid, match="attributes"):
        read(raw + bytes(header()))


def test_endless_attributes_are_not_read() -> None:
    raw = bytes(header(type=tarfile.XHDTYPE, size=1 << 30))
    with pytest.raises(HeaderTooLarge, match=r"take 1\.1 GB, and 1\.0 MB are read at most: pack it anew without"):
        read(raw + bytes(1024))


def test_many_attributes_take_no_time_to_speak_of() -> None:
    records = b"6 a=b\n" * 170_000
    extended = bytes(header(type=tarfile.XHDTYPE, size=len(records))) + records + bytes(-len(records) % 512)
    assert [name for name, _, _ in read((extended + bytes(header())) * 8)] == ["a.tar"] * 8


def test_a_link_has_no_content_whatever_it_says() -> None:
    raw = bytes(header(type=tarfile.SYMTYPE, linkname="x", size=10**9)) + tar([Entry.file("b", b"b")])
    assert [name for name, _, _ in read(raw)] == ["a.tar", "b"]


@pytest.mark.parametrize(
    "options",
    [("--format=gnu",), *(("--format=pax", f"--sparse-version={version}") for version in ("0.0", "0.1", "1.0"))],
    ids=lambda options: options[-1],
)
def test_a_sparse_file_of_any_form_is_told_and_what_is_behind_it_is_read(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with (tmp_path / "a.tar").open("wb") as file:
        for _ in range(40):  # holes for a header of the oldest form, and two blocks more
            file.write(b"x" * 4096)
            file.seek(1024 * 1024, os.SEEK_CUR)
    (tmp_path / "b.tar").write_bytes(b"b")
    made = subprocess.run(
        ["tar", "-cS", *options, "-C", tmp_path, "a.tar", "b.tar"], capture_output=True, check=True
    ).stdout
    entries = [(e.name, e.kind, e.offset) for e in read_entries(stream(made), TRUNCATED)]
    assert [each[:2] for each in entries] == [("a.tar", Kind.SPARSE), ("b.tar", Kind.FILE)]
    assert made[entries[1][2] :].startswith(b"b\0")


def _pax(attributes: dict[str, str]) -> bytes:
    records = b"".join(_record(key.encode(), value.encode()) for key, value in attributes.items())
    return bytes(header(type=tarfile.XHDTYPE, size=len(records))) + records.ljust(
        -len(records) % 512 + len(records), b"\0"
    )


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body) + len(str(len(body) + 2))
    return b"%d" % length + body
