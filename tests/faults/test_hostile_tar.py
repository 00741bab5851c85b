"""Tar headers that lie: a load ends soon, and with words."""

import gzip
import os
import tarfile
from pathlib import Path

import pytest

from bench.archive import TAR_BLOCK, tar_chunks
from tests.conftest import k0rdentd, listing
from tests.faults.bundles import is_one_clear_sentence, load
from tests.faults.hostile import GOOD, LYING_SIZES, archive, base256, header, member, pax, write_bundle
from tests.faults.processes import watch

# Those that do not hide where the next member begins.
HARMLESS = {"sparse", "multi-volume"}


@pytest.mark.parametrize("case", LYING_SIZES)
def test_a_lie_in_the_bundle_itself_ends_the_load_with_a_sentence(root: Path, case: str) -> None:
    bundle = write_bundle(root.with_name("b.tar"), [LYING_SIZES[case]])
    done = load(bundle, root)
    assert done.code == 1
    if case in HARMLESS:
        assert "good:1" in listing(root)
    else:
        assert is_one_clear_sentence(done.error, bundle), done.error


def test_a_lie_within_a_member_fails_that_member_alone(root: Path) -> None:
    liars = {f"{case}_1.tar": body for case, body in LYING_SIZES.items()}
    bundle = write_bundle(root.with_name("b.tar"), *(archive(name, body) for name, body in liars.items()))
    done = load(bundle, root)
    assert (done.code, done.outcomes) == (1, dict.fromkeys(liars, "failed") | {"good_1.tar": "loaded"}), done.error


NAMES = {
    "not-utf-8": b"b\xff\xfed_1.tar",
    "escape-sequence": b"b\x1b[31mred_1.tar",
    "line-break": b"x\n[9/9] loaded all_1.tar",
    "bidirectional": "gnp\u202e_1.tar".encode(),
    "nul-in-pax": b"a\0b_1.tar",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_that_would_play_with_a_terminal_is_told_harmlessly(root: Path, name: bytes) -> None:
    bundle = write_bundle(root.with_name("b.tar"), [pax(b"path", name)], [member("x", GOOD.to_bytes())])
    done = k0rdentd("load", bundle, "-s", root, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 1, done.stderr
    assert "internal error" not in done.stderr
    said = done.stdout + done.stderr
    assert not {"\x1b", "\u202e", "\0"} & set(said)
    assert not [line for line in said.splitlines() if line.startswith("[9/9]")]
    assert "good:1" in listing(root)


def test_names_as_long_as_they_get_are_refused_alone(root: Path) -> None:
    deep = b"/".join([b"d"] * 100_000) + b"/x_1.tar"
    wide = b"w" * 300 + b"_1.tar"
    tag = b"t_" + b"1" * 200 + b".tar"
    members = [pax(b"path", name) + header("x") for name in (deep, wide, tag)]
    done = load(write_bundle(root.with_name("b.tar"), members), root)
    assert done.code == 1
    assert sorted(done.outcomes.values()) == ["failed", "failed", "failed", "loaded"]
    assert max(map(len, done.error.splitlines())) < 2000


def test_an_archive_of_files_without_end_is_refused(root: Path) -> None:
    count = 20_000
    documents = b"".join(header(f"{number}.json") for number in range(count))
    links = b"".join(header(f"{number}", kind=tarfile.SYMTYPE) for number in range(count))
    plain = write_bundle(root.with_name("b.tar"), archive("documents_1.tar", documents), archive("links_1.tar", links))
    bundle = plain.with_suffix(".tar.gz")
    bundle.write_bytes(gzip.compress(plain.read_bytes(), 1))
    ended = watch("load", bundle, "-s", root, folder=root.parent)
    assert (ended.code, ended.error.count("bytes for each of its files")) == (1, 2)
    assert set(listing(root)) == {"good:1"}


def test_members_of_30_gb_that_are_nothing_but_holes_are_passed_over(root: Path) -> None:
    bundle, size = root.with_name("b.tar"), 30 * 10**9 // TAR_BLOCK * TAR_BLOCK
    with bundle.open("wb") as file:
        file.write(header("hole_1.tar", base256(size)))
        file.seek(size, os.SEEK_CUR)
        file.write(header("liar_1.tar", b"%011o" % TAR_BLOCK) + header("layer.tar", base256(size)))
        file.writelines(tar_chunks([GOOD.as_entry("good_1.tar")], tarfile.GNU_FORMAT))
    ended = watch("load", bundle, "-s", root, folder=root.parent)
    assert ended.code == 1
    assert "2 of 3 members failed" in ended.error
    assert set(listing(root)) == {"good:1"}
    assert ended.peak < 400_000_000


def test_a_bundle_on_a_medium_that_cannot_be_read_is_told_so(root: Path) -> None:
    bundle = root.with_name("b.tar")
    bundle.symlink_to("/proc/self/mem")  # its first page is in no process's memory: EIO
    done = load(bundle, root)
    assert done.code == 1
    assert is_one_clear_sentence(done.error, bundle), done.error
