"""Files whose names are not UTF-8, as an old stick or another locale leaves them."""

import base64
import json
import shutil
from pathlib import Path

from bench.layout import oci_archive
from tests.conftest import k0rdentd, listing, serving
from tests.images import small_image, write_tar
from tests.signing import key_pair

FOREIGN = "b\udcff\udcfc"


def signed_bundle(folder: Path) -> tuple[Path, Path]:
    """A bundle and its signer's key, none of them with a name in UTF-8."""
    pair = key_pair(folder)
    path = write_tar(folder / f"{FOREIGN}.tar", {"app_1.tar": oci_archive(small_image())})
    path.with_name(f"{FOREIGN}.tar.sig").write_bytes(base64.b64encode(pair.sign(path)))
    return path, Path(shutil.copy(pair.public, folder / f"{FOREIGN}.pub"))


def test_a_bundle_is_loaded_known_again_and_told_whatever_its_name_is(tmp_path: Path) -> None:
    path, key = signed_bundle(tmp_path)
    report = tmp_path / f"{FOREIGN}.json"
    given = ("load", path, "-s", tmp_path / "s", "--verify", "--cosign-key", key)
    for _ in "12":
        done = k0rdentd(*given, "--report", report)
        assert done.returncode == 0, done.stderr
    assert "known from an earlier load" in done.stdout
    assert set(listing(tmp_path / "s")) == {"app:1"}
    assert json.loads(report.read_text())["bundle"].endswith(r"/b\xff\xfc.tar")
    assert r"bundle b\xff\xfc.tar" in k0rdentd("store", "explain", "app:1", "-s", tmp_path / "s").stdout


def test_a_registry_is_ready_with_it_even_when_it_is_gone(tmp_path: Path) -> None:
    path, key = signed_bundle(tmp_path)
    given = ("-s", tmp_path / "s", "-b", path, "--verify", "--cosign-key", key, "--workers", "1")
    with serving(*given, log=tmp_path / "log", wait_for="/readyz"):
        pass
    path.unlink()
    with serving(*given, log=tmp_path / "log", wait_for="/readyz"):
        assert set(listing(tmp_path / "s")) == {"app:1"}


def test_a_storage_of_such_a_name_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path, _ = signed_bundle(tmp_path)
    for words in (("load", path), ("store", "ls"), ("registry", "-b", path)):
        done = k0rdentd(*words, "-s", tmp_path / FOREIGN)
        assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
        assert "this path is not UTF-8: rename the directory" in done.stderr
    assert not (tmp_path / FOREIGN).exists()
