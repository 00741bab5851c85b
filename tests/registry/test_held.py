"""A registry whose store holds its bundle needs neither the file nor what proves it."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bench.layout import oci_archive
from registry.storage.loads import has_completed_load
from registry.storage.store import Store
from tests.conftest import free_port, k0rdentd, serving
from tests.faults.processes import wait_until
from tests.images import small_image, write_tar
from tests.signing import key_pair


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A signed one, with `cosign.pub` beside it, in a store `s` that has loaded it."""
    path, pair = write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())}), key_pair(tmp_path)
    path.with_name("b.tar.sig").write_bytes(base64.b64encode(pair.sign(path)))
    done = k0rdentd("load", path, "-s", tmp_path / "s", "--verify", "--cosign-key", pair.public)
    assert done.returncode == 0, done.stderr
    return path


def lose_bundle(bundle: Path) -> None:
    bundle.unlink()


def lose_signature(bundle: Path) -> None:
    bundle.with_name("b.tar.sig").unlink()


def lose_key(bundle: Path) -> None:
    bundle.with_name("cosign.pub").unlink()


def cut_bundle(bundle: Path) -> None:
    os.truncate(bundle, bundle.stat().st_size // 2)


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (lose_bundle, "it was loaded before"),
        (lose_signature, "it was loaded before"),
        (lose_key, "cannot read the public key"),
        (cut_bundle, "the signature"),
    ],
)
def test_a_registry_is_ready_and_warns(tmp_path: Path, bundle: Path, lose: Callable[[Path], None], said: str) -> None:
    lose(bundle)
    given = ("-s", tmp_path / "s", "-b", bundle, "--verify", "--cosign-key", tmp_path / "cosign.pub")
    log = tmp_path / "log"
    with serving(*given, "--workers", "1", log=log, wait_for="/readyz") as server:
        wait_until(lambda: said in log.read_text(), "nobody is warned", 20)
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_load_that_came_to_its_end_stays_known(store: Store) -> None:
    known = []
    for state in ("loading", "failed", "loaded", "loading", "interrupted", "refused"):
        store.loads.put_state("/b.tar", {"state": state})
        with store.snapshot() as snapshot:
            known.append(has_completed_load(snapshot, "/b.tar"))
    assert known == [False, False, True, True, True, True]


def test_a_store_that_does_not_hold_the_bundle_needs_the_file(tmp_path: Path, bundle: Path) -> None:
    done = k0rdentd("registry", "-s", tmp_path / "s", "-b", tmp_path / "other.tar", "-p", str(free_port()))
    assert (done.returncode, "no bundle at" in done.stderr) == (2, True)
    assert bundle.exists()
