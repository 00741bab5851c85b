"""What an operator sees of a load."""

import gzip
import os
import pty
import re
import subprocess
from pathlib import Path

from bench.layout import oci_archive
from tests.conftest import COMMAND
from tests.images import small_image, write_tar
from tests.loader.test_verified_load import Signed, load, made, signed

__all__ = ["made", "signed"]


def on_a_terminal(*words: str | Path) -> str:
    """What the command shows on a terminal of 100 columns."""
    ours, its = pty.openpty()
    with subprocess.Popen([*COMMAND, *map(str, words)], stdout=its, stderr=its, env={**os.environ, "COLUMNS": "100"}):
        os.close(its)
        shown = b""
        try:
            while chunk := os.read(ours, 65536):
                shown += chunk
        except OSError:  # the last one who had it open ended
            pass
    os.close(ours)
    return shown.decode()


def test_the_bar_goes_on_within_one_large_image(tmp_path: Path) -> None:
    bundle = tmp_path / "b.tar.gz"
    plain = write_tar(tmp_path / "b.tar", {"large_1.tar": oci_archive(small_image(size=150_000_000))})
    bundle.write_bytes(gzip.compress(plain.read_bytes(), compresslevel=0))
    shown = on_a_terminal("load", bundle, "-s", tmp_path / "s", "--no-verify")
    positions = set(re.findall(r"([0-9.]+)/150", shown))
    assert len(positions) > 2, positions
    assert "1 loaded" in shown


def test_members_are_counted_as_they_are_told(tmp_path: Path, signed: Signed) -> None:
    done = load(signed, tmp_path / "s")
    for status in ("read", "loaded"):
        numbers = re.findall(rf"^\[(\d+)/\?\] {status} ", done.stdout, re.MULTILINE)
        assert numbers == [str(number + 1) for number in range(signed.images)], status
