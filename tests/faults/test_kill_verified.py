"""kill -9 of a load that verifies: nothing has a name, and a rerun verifies the whole file before it gives one."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from bench.bundle import BundleSpec
from bench.corpus import write_bundle
from tests.conftest import k0rdentd, listing
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_nothing_under_way
from tests.faults.processes import halt_when, kill_group, kill_session, start_load, watch
from tests.signing import key_pair

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["tar", "tar.gz"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; its key lies beside it."""
    folder = tmp_path_factory.mktemp("signed")
    path = folder / f"b.{request.param}"
    write_bundle(BundleSpec(size=100_000_000), path, request.param)
    signature = key_pair(folder).sign(path)
    path.with_name(path.name + ".sig").write_bytes(base64.b64encode(signature))
    return path


def proof(bundle: Path) -> tuple[str | Path, ...]:
    return ("--verify", "--cosign-key", bundle.with_name("cosign.pub"))


def test_a_killed_load_names_nothing_and_the_next_verifies_all_of_the_file(root: Path, signed: Path) -> None:
    process = start_load(signed, root, *proof(signed))
    try:
        halt_when(process, lambda: b"] read " in root.with_suffix(".log").read_bytes())
        kill_group(process)
    finally:
        kill_session(process)
    assert listing(root) == {}
    assert_blobs_are_what_they_are_called(root)
    assert_refused_with_its_first_byte_changed(signed, root)
    done = k0rdentd("load", signed, "-s", root, *proof(signed))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(listing(root)) > 10
    assert_nothing_under_way(root)


def assert_refused_with_its_first_byte_changed(bundle: Path, root: Path) -> None:
    """What a killed load had seen of it already counts for nothing: this byte is part of a time, or of a name."""
    changed = root.with_name(bundle.name)
    shutil.copy(bundle, changed)
    with changed.open("r+b") as file:
        file.seek(4 if bundle.suffix == ".gz" else 300)
        file.write(b"\x37")
    shutil.copy(f"{bundle}.sig", f"{changed}.sig")
    refused = k0rdentd("load", changed, "-s", root, "--verify", "--cosign-key", bundle.with_name("cosign.pub"))
    assert refused.returncode == 1
    assert "does not fit this file" in refused.stderr
    assert listing(root) == {}


def test_verifying_takes_little_memory_more(tmp_path: Path, signed: Path) -> None:
    def peak(name: str, *options: str | Path) -> int:
        ended = watch("load", signed, "-s", tmp_path / name, "--report", tmp_path / "r", *options, folder=tmp_path)
        assert ended.code == 0, ended.error
        assert json.loads((tmp_path / "r").read_text())["members"]
        return ended.peak

    more = peak("one", *proof(signed)) - peak("two", "--no-verify")
    shutil.rmtree(tmp_path / "one")
    shutil.rmtree(tmp_path / "two")
    assert more < 70_000_000  # 32 MiB that wait to be hashed, what is being read, and the library that verifies
