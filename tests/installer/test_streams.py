"""What the standard streams of a command may be."""

import subprocess
from pathlib import Path

import pytest

from bench.layout import oci_archive
from tests.conftest import COMMAND, k0rdentd, listing
from tests.images import small_image, write_tar


@pytest.fixture
def bundle_file(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})


def shell(line: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run this line, in which "$@" is the command with these words; Python buffers, as it does for operators."""
    command = ["env", "-u", "PYTHONUNBUFFERED", "sh", "-c", line, "sh", *COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_load_with_closed_streams_loads(tmp_path: Path, bundle_file: Path, closed: str) -> None:
    """The store's files must not get the numbers that belong to the streams."""
    done = shell(f'"$@" {closed}', "load", bundle_file, "-s", tmp_path / "store")
    assert done.returncode == 0
    assert len(listing(tmp_path / "store")) == 1
    assert k0rdentd("store", "fsck", "-s", tmp_path / "store").returncode == 0


def test_standard_input_that_is_closed_is_told(tmp_path: Path) -> None:
    done = shell('"$@" <&-', "load", "-", "-s", tmp_path / "store")
    assert done.returncode == 1
    assert "standard input: not a tar archive: it has 0 bytes" in done.stderr


@pytest.mark.parametrize("command", ["version", "config default", "bundle inspect"])
def test_a_full_disk_below_the_output_is_told_in_one_sentence(bundle_file: Path, command: str) -> None:
    words: list[str | Path] = [*command.split(), *([bundle_file] if command == "bundle inspect" else [])]
    done = shell('"$@" >/dev/full', *words)
    assert (done.returncode, done.stderr) == (
        4,
        "k0rdentd: cannot write what there is to tell: No space left on device\n",
    )
    assert shell('"$@" >/dev/full 2>&1', *words).returncode == 4


def test_a_reader_that_has_enough_is_no_failure_to_tell(bundle_file: Path) -> None:
    done = shell('"$@" | head -1', "bundle", "inspect", bundle_file)
    assert done.stdout.startswith("image")
    assert done.stderr == ""
