"""What somebody meets who may not read everything."""

import subprocess
from pathlib import Path

from bench.layout import oci_archive
from tests.conftest import COMMAND, free_port, k0rdentd
from tests.images import small_image, write_tar

# Root without what makes root root: the interpreter and the tests stay readable.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def unprivileged(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*UNPRIVILEGED, *COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_store_that_may_not_be_read_is_told_by_every_command(tmp_path: Path) -> None:
    root, bundle = tmp_path / "s", write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})
    assert k0rdentd("load", bundle, "-s", root).returncode == 0
    (root / "index").chmod(0)
    for words in (("registry", "-p", str(free_port())), ("load", bundle), ("store", "ls"), ("store", "gc")):
        done = unprivileged(*words, "-s", root)
        assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
        assert f"k0rdentd: {root}/index" in done.stderr
        assert "Permission denied; check its owner" in done.stderr


def test_preflight_and_doctor_look_as_far_as_they_may(tmp_path: Path) -> None:
    hidden = tmp_path / "run" / "containerd"
    hidden.mkdir(parents=True)
    hidden.chmod(0)
    for command in ("preflight", "doctor"):
        done = unprivileged(command, "--root", tmp_path)
        assert "findings:" in done.stdout, done.stderr
        assert done.stderr == ""


def test_a_file_that_nobody_expected_to_be_closed_is_named(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c").chmod(0)
    done = unprivileged("-c", tmp_path / "c" / "k.yaml", "status")
    assert "internal error" not in done.stderr
    assert f"{tmp_path}/c/k.yaml" in done.stderr
