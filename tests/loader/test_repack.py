"""A bundle repacked: the same files, an index that tells the truth, and a load that ends the same."""

import hashlib
import json
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from bench.archive import Archive, Entry
from bench.bundle import BundleSpec, Form
from bench.corpus import write_bundle
from bench.layout import chart_archive, oci_archive
from loader.packing import INDEX_NAME
from loader.repack import repack
from tests.conftest import k0rdentd
from tests.faults.contents import assert_same_store
from tests.faults.processes import halt_when, kill_session, start, watch
from tests.images import small_image, write_tar
from tests.signing import key_pair


def index_of(path: Path) -> dict[str, list[dict[str, object]]]:
    with tarfile.open(path) as tar:
        first = tar.next()
        assert first is not None
        assert first.name == INDEX_NAME
        file = tar.extractfile(first)
        assert file is not None
        index: dict[str, list[dict[str, object]]] = json.load(file)
        return index


def files_of(path: Path) -> dict[str, tuple[str, int]]:
    """Hash and mode of every file in a tar, but for the index."""
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None and member.name != INDEX_NAME:
                found[member.name] = hashlib.file_digest(file, "sha256").hexdigest(), member.mode  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("form", get_args(Form))
def test_a_load_of_it_ends_as_a_load_of_the_bundle(tmp_path: Path, form: Form) -> None:
    bundle, out = tmp_path / f"b.{form}", tmp_path / "other.tar"
    contents = write_bundle(BundleSpec(size=4_000_000, leading_folder=True), bundle, form)
    done = k0rdentd("bundle", "repack", bundle, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{len(contents.members) + len(contents.strays)} files in {out}: ")
    for path, name in ((bundle, "expected"), (out, "found")):
        assert k0rdentd("load", path, "-s", tmp_path / name).returncode == 0
    assert_same_store(tmp_path / "found", tmp_path / "expected")
    assert k0rdentd("bundle", "version", out).stdout == "1.2.3\n"


def test_every_file_is_there_byte_for_byte_with_its_mode(tmp_path: Path) -> None:
    bundle = tmp_path / "airgap-bundle-1.2.3.tar"
    write_bundle(BundleSpec(size=4_000_000), bundle, "tar")
    list(repack(bundle, tmp_path / "out.tar"))
    assert files_of(tmp_path / "out.tar") == files_of(bundle)


@pytest.mark.parametrize("room", [None, 512])
def test_the_index_tells_where_every_member_and_blob_is(tmp_path: Path, room: int | None) -> None:
    bundle, out = tmp_path / "b.tar.gz", tmp_path / "out.tar"
    write_bundle(BundleSpec(size=4_000_000), bundle, "tar.gz")
    told = list(repack(bundle, out, room))
    members = index_of(out)["members"]
    assert [each["name"] for each in members] == [each.name for each in told]
    whole = out.read_bytes()
    with tarfile.open(out) as tar:
        places = {each.name: (each.offset_data, each.size) for each in tar if each.name != INDEX_NAME}
    assert {str(each["name"]): (each["offset"], each["size"]) for each in members} == places
    blobs = [blob for each in members for blob in each["blobs"]]  # type: ignore[attr-defined]
    assert len(blobs) > 20
    for digest, offset, size in blobs:
        assert f"sha256:{hashlib.sha256(whole[offset : offset + size]).hexdigest()}" == digest


def test_what_is_repacked_twice_is_the_same(tmp_path: Path) -> None:
    bundle = tmp_path / "b.tar.gz"
    write_bundle(BundleSpec(size=4_000_000), bundle, "tar.gz")
    list(repack(bundle, tmp_path / "1.tar", 1024 * 1024))
    list(repack(tmp_path / "1.tar", tmp_path / "2.tar", 1024 * 1024))
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


@pytest.mark.parametrize(("name", "out_name"), [("b.tar", "charts.tar"), ("charts.tar", "b.tar"), ("b.tar", "b.tar")])
def test_no_name_of_a_bundle_takes_a_folder_away_or_lets_one_appear(tmp_path: Path, name: str, out_name: str) -> None:
    archives = {"charts/app_1.tar": chart_archive("app", "1"), "x/charts_2.tar": oci_archive(small_image())}
    bundle = write_tar(tmp_path / name, archives)
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / out_name
    list(repack(bundle, out))
    said = [k0rdentd("load", "--dry-run", path, "-s", tmp_path / "s").stdout for path in (bundle, out)]
    assert said[0] == said[1]


@pytest.mark.slow
def test_what_is_broken_is_copied_as_it_is_and_fails_alike(tmp_path: Path) -> None:
    bundle, out = tmp_path / "b.tar.gz", tmp_path / "out.tar"
    contents = write_bundle(BundleSpec(size=4_000_000, broken=True), bundle, "tar.gz")
    assert k0rdentd("bundle", "repack", bundle, out).returncode == 0
    failures = []
    for path, name in ((bundle, "expected"), (out, "found")):
        report = tmp_path / f"{name}.json"
        assert k0rdentd("load", path, "-s", tmp_path / name, "--report", report).returncode == 1
        members = json.loads(report.read_text())["members"]
        failures.append({each["path"]: each["error"] for each in members if each["outcome"] == "failed"})
    assert len(failures[0]) == len(contents.broken)
    special = {path for path, error in failures[0].items() if "special file" in error}
    assert failures[1] == {path: error for path, error in failures[0].items() if path not in special}
    assert_same_store(tmp_path / "found", tmp_path / "expected")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2_000_000)


def tear(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(512 * (path.stat().st_size // 1024))
        file.write(os.urandom(1_000_000))


@pytest.mark.parametrize("damage", [truncate, tear])
def test_a_damaged_bundle_gives_no_bundle_and_spares_the_old_one(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    bundle, out = tmp_path / "b.tar.gz", tmp_path / "out.tar"
    write_bundle(BundleSpec(size=4_000_000), bundle, "tar.gz")
    damage(bundle)
    out.write_text("old")
    done = k0rdentd("bundle", "repack", bundle, out)
    assert done.returncode == 1
    assert str(bundle) in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "out.tar"]
    assert out.read_text() == "old"


def test_links_stay_links_and_devices_are_told(tmp_path: Path) -> None:
    odd = [Entry.link("bin/k0s", "k0s-v1"), Entry.device("dev_1"), Entry.file("bin/k0s-v1", b"x", 0o755)]
    bundle = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())}, odd)
    done = k0rdentd("bundle", "repack", bundle, tmp_path / "out.tar")
    assert done.returncode == 0
    assert "dev_1 is left out: it is a device" in done.stderr
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.getmember("bin/k0s").linkname == "k0s-v1"
        assert tar.getmember("bin/k0s-v1").mode == 0o755


@pytest.mark.parametrize("bundle", ["missing.tar", "folder"])
def test_what_cannot_be_repacked_is_told(tmp_path: Path, bundle: str) -> None:
    (tmp_path / "folder").mkdir()
    done = k0rdentd("bundle", "repack", tmp_path / bundle, tmp_path / "folder" / "out.tar")
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("k0rdentd: ")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.slow
def test_a_killed_repack_shows_nothing_and_a_rerun_takes_its_place(tmp_path: Path) -> None:
    bundle, out = tmp_path / "b.tar.gz", tmp_path / "out.tar"
    write_bundle(BundleSpec(size=60_000_000), bundle, "tar.gz")
    with (tmp_path / "log").open("wb") as log:
        process = start("bundle", "repack", bundle, out, output=log.fileno(), error=log.fileno())
    try:
        halt_when(process, lambda: out.with_name("out.tar.partial").exists())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    finally:
        kill_session(process)
    assert not out.exists()
    again = watch("bundle", "repack", bundle, out, folder=tmp_path)
    assert (again.code, again.error) == (0, "")
    assert again.peak < 200_000_000
    assert not out.with_name("out.tar.partial").exists()
    assert index_of(out)["members"]


def test_an_archive_that_is_none_is_a_member_without_blobs(tmp_path: Path) -> None:
    bundle = Archive((Entry.file("text_1.tar", b"no tar at all" * 100),)).write(tmp_path / "b.tar")
    list(repack(bundle, tmp_path / "out.tar"))
    assert index_of(tmp_path / "out.tar")["members"][0]["blobs"] == []


@pytest.mark.parametrize("command", ["repack", "create", "verify"])
def test_a_path_that_is_no_text_is_told_harmlessly(tmp_path: Path, command: str) -> None:
    bundle = write_tar(tmp_path / os.fsdecode(b"b\xe9.tar"), {"a_1.tar": oci_archive(small_image("a"))})
    out = tmp_path / os.fsdecode(b"o\xe9.tar")
    pair = key_pair(tmp_path)
    bundle.with_name(f"{bundle.name}.sig").write_bytes(pair.sign(bundle))
    k0rdentd("load", bundle, "-s", tmp_path / "s")
    arguments: dict[str, tuple[str | Path, ...]] = {
        "repack": (bundle, out),
        "create": ("a:1", out, "-s", tmp_path / "s"),
        "verify": (bundle, "--cosign-key", pair.public),
    }
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = k0rdentd("bundle", command, *arguments[command], env=strict)
    assert (done.returncode, done.stderr, "\\udce9.tar" in done.stdout) == (0, "", True)
