"""Bundles in pieces and from standard input; what comes first where the order is free."""

import base64
import gzip
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bench.bundle import BundleSpec, Form
from bench.corpus import write_bundle
from bench.layout import oci_archive
from loader.errors import BundleInvalid
from loader.repack import repack
from loader.source import Source
from tests.conftest import COMMAND, k0rdentd, listing
from tests.faults.processes import alive, wait_until
from tests.images import small_image, write_tar
from tests.loader.test_load import load, wanted
from tests.signing import key_pair

SPEC = BundleSpec(size=3_500_000, leading_folder=True)


def split(bundle: Path, *options: str) -> None:
    """As an operator does it; the whole file is gone then."""
    subprocess.run(["split", "-b", "700k", *options, bundle.name, f"{bundle.name}."], cwd=bundle.parent, check=True)
    bundle.unlink()


@pytest.mark.parametrize(
    ("form", "options"),
    [("tar.gz", ("-d",)), ("tar", ()), ("tar", ("-d", "-a", "3")), ("tar.gz", ("--numeric-suffixes=1", "-a", "3"))],
    ids=str,
)
def test_pieces_are_read_as_one(tmp_path: Path, form: Form, options: tuple[str, ...]) -> None:
    path = tmp_path / f"b.{form}"
    contents = write_bundle(SPEC, path, form)
    split(path, *options)
    (tmp_path / f"{path.name}.sig").write_bytes(b"signature")
    first = min(tmp_path.glob(f"{path.name}.[0a]*"))
    done = load(path, tmp_path / "s")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(listing(tmp_path / "s")) == set(wanted(contents))
    assert load(first, tmp_path / "s").returncode == 0


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "b.tar.gz.00").unlink(), "missing: b.tar.gz.00"),
        (lambda folder: (folder / "b.tar.gz.02").unlink(), "missing: b.tar.gz.02"),
        (lambda folder: (folder / "b.tar.gz.02").write_bytes(b""), "b.tar.gz.02 has 0 bytes"),
        (lambda folder: (folder / "b.tar.gz.part03").write_bytes(b""), "different kinds"),
        (lambda folder: max(folder.glob("b.tar.gz.*")).unlink(), "copy it anew"),
    ],
)
def test_missing_and_foreign_pieces_are_told(tmp_path: Path, harm: Callable[[Path], object], said: str) -> None:
    write_bundle(SPEC, tmp_path / "b.tar.gz", "tar.gz")
    split(tmp_path / "b.tar.gz", "-d")
    harm(tmp_path)
    done = load(tmp_path / "b.tar.gz", tmp_path / "s")
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_piece_in_the_middle_is_not_taken_for_the_bundle(tmp_path: Path) -> None:
    write_bundle(SPEC, tmp_path / "b.tar.gz", "tar.gz")
    split(tmp_path / "b.tar.gz", "-d")
    assert "name the first one, b.tar.gz.00" in load(tmp_path / "b.tar.gz.01", tmp_path / "s").stderr


@pytest.mark.parametrize("form", ["tar.gz", "tar", "tar.zst"])
def test_a_pipe_is_read_to_its_end(tmp_path: Path, form: Form) -> None:
    contents = write_bundle(SPEC, tmp_path / f"b.{form}", form)
    command = [*COMMAND, "load", "-", "-s", str(tmp_path / "s"), "--progress", "plain"]
    with subprocess.Popen(["cat", str(tmp_path / f"b.{form}")], stdout=subprocess.PIPE) as pipe:
        done = subprocess.run(command, stdin=pipe.stdout, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(listing(tmp_path / "s")) == set(wanted(contents))
    assert "so far" in done.stdout
    assert "left" not in done.stdout


def test_a_pipe_that_breaks_off_is_told(tmp_path: Path) -> None:
    write_bundle(SPEC, tmp_path / "b.tar.gz", "tar.gz")
    command = [*COMMAND, "load", "-", "-s", str(tmp_path / "s"), "--report", str(tmp_path / "r.json")]
    whole = (tmp_path / "b.tar.gz").read_bytes()
    done = subprocess.run(command, input=whole[:-100_000], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"standard input ends in the middle of a member" in done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert "ends in the middle of a member" in report["error"]
    assert report["origin"]["file"] == "standard input"
    assert {each["image"] for each in report["members"]} == set(listing(tmp_path / "s")) != set()
    done = subprocess.run(command, input=whole + b"garbage", capture_output=True, timeout=60, check=False)
    assert (done.returncode, b"standard input is damaged" in done.stderr) == (1, True), done.stderr
    key, signature = key_pair(tmp_path).public, tmp_path / "sig"
    signature.write_bytes(base64.b64encode(b"signature"))
    command += ["--verify", "--cosign-key", str(key), "--cosign-signature", str(signature)]
    done = subprocess.run(command, input=whole, capture_output=True, timeout=60, check=False)
    assert b"and nothing of standard input is served" in done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["members"] == []


def test_a_pipe_that_has_a_name_is_told_as_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = str(tmp_path / "pipe")
    for command in (["load", "-s", str(tmp_path), pipe], ["bundle", "inspect", pipe]):
        done = k0rdentd(*command)
        assert (done.returncode, "'k0rdentd load - < PIPE'" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("form", "verified"), [("tar.gz", False), ("tar.gz", True), ("tar", True), ("tar.zst", False)], ids=str
)
def test_ctrl_c_ends_a_load_of_a_pipe_that_says_nothing(tmp_path: Path, form: Form, verified: bool) -> None:
    path = tmp_path / f"b.{form}"
    write_bundle(SPEC, path, form)
    (tmp_path / "sig").write_bytes(b"signature")
    key = key_pair(tmp_path).public
    check = ("--verify", "--cosign-key", key, "--cosign-signature", tmp_path / "sig") if verified else ()
    command = [*COMMAND, "load", "-", "-s", tmp_path / "s", *check]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        assert process.stdin is not None
        process.stdin.write(path.read_bytes()[:2_000_000])
        process.stdin.flush()
        wait_until(lambda: len(alive(process.pid)) > 2, "it never begins")
        time.sleep(0.3)  # until it has read what there is
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == 130
        finally:
            process.kill()
        assert process.stderr is not None
        assert process.stderr.read().strip() == b"k0rdentd: interrupted; run it again to go on"


def test_standard_input_that_is_closed_is_no_bundle(tmp_path: Path) -> None:
    command = shlex.join([*COMMAND, "load", "-", "-s", str(tmp_path / "s")])
    done = subprocess.run(["sh", "-c", f"{command} <&-"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("k0rdentd: standard input: not a tar archive: it has 0 bytes")


@pytest.mark.parametrize("form", ["b.tar", "b.tar.gz"])
def test_a_tar_of_large_records_is_whole(tmp_path: Path, form: str) -> None:
    made = write_tar(tmp_path / "a.tar", {"a_1.tar": oci_archive(small_image())})
    subprocess.run(["tar", "-xf", made, "-C", tmp_path], check=True)
    subprocess.run(["tar", "-b", "2048", "-caf", tmp_path / form, "-C", tmp_path, "a_1.tar"], check=True)
    done = load(tmp_path / form, tmp_path / "s")
    assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read every folder."""
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_cannot_be_listed_is_told() -> None:
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        Path(name, "a_1.tar").write_bytes(b"")
        Path(name, "closed").mkdir(mode=0)
        with nobody(), Source(Path(name)) as source:
            for read in (source.members, lambda: repack(Path(name), Path("/nowhere"))):
                with pytest.raises(BundleInvalid, match="closed: Permission denied"):
                    list(read())


@pytest.mark.parametrize("form", ["tar", "dir"])
def test_what_an_installation_needs_comes_first(tmp_path: Path, form: str) -> None:
    names = ["aaa_1.tar", "kcm-controller_1.tar", "zzz_1.tar", "charts/k_1.tar", "k0sproject/k0s_1.tar"]
    path = write_tar(tmp_path / "b.tar", {name: oci_archive(small_image(name)) for name in names})
    if form == "dir":
        (tmp_path / "b").mkdir()
        subprocess.run(["tar", "-xf", path, "-C", tmp_path / "b"], check=True)
        path = tmp_path / "b"
    lines = load(path, tmp_path / "s").stdout.splitlines()[:-2]
    loaded = [line.split()[2].partition(":")[0] for line in lines]
    assert set(loaded[:3]) == {"kcm-controller", "charts/k", "k0sproject/k0s"}
    assert loaded[3:] == ["aaa", "zzz"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "it has 0 bytes"), (b"hello\n", "it has 6 bytes"), (b"PK\x03\x04" + bytes(2000), "or a damaged one")],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_bundle_is_told_as_that(tmp_path: Path, content: bytes, said: str, packed: bool) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(gzip.compress(content) if packed else content)
    for command in ("load", "bundle inspect", "bundle version"):
        storage = ("-s", tmp_path / "s") if command == "load" else ()
        done = k0rdentd(*command.split(), path, *storage)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert f"{path}: not a tar archive" in done.stderr
        assert said in done.stderr
        assert "is it the airgap bundle?" in done.stderr


def test_a_bundle_that_is_damaged_further_on_is_not_doubted_to_be_one(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "b.tar", {f"{name}_1.tar": oci_archive(small_image(name)) for name in "abc"})
    content = bytearray(path.read_bytes())
    second = content.index(b"b_1.tar")
    content[second : second + 512] = b"x" * 512
    path.with_suffix(".tar.gz").write_bytes(gzip.compress(content))
    done = k0rdentd("load", path.with_suffix(".tar.gz"), "-s", tmp_path / "s")
    assert "damaged, with no tar header where one must be" in done.stderr
    assert "is it the airgap bundle" not in done.stderr
    assert set(listing(tmp_path / "s")) == {"a:1"}
