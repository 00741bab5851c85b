"""A store on a disk that has become read-only: it can be looked at, rescued and pulled from, and says that it is."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.storage.store import Store
from tests.conftest import k0rdentd, listing, resolve, serving
from tests.images import publish, small_image

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A store of one image, mounted read-only."""
    store = Store.open([tmp_path / "store"])
    publish(store, small_image("x"), "app:1")
    store.close()
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "store", mounted], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
        yield mounted
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_commands_that_read_work(root: Path, tmp_path: Path) -> None:
    for command in (["ls"], ["stats"], ["fsck"], ["missing"], ["receipt", tmp_path / "receipt"], ["gc", "--dry-run"]):
        done = k0rdentd("store", *command, "-s", root)
        assert (command, done.returncode, "read-only" in done.stderr) == (command, 0, False)
    assert k0rdentd("store", "export", "app:1", tmp_path / "out.tar", "-s", root).returncode == 0
    assert k0rdentd("store", "copy", root, tmp_path / "rescued").returncode == 0
    assert listing(tmp_path / "rescued") == listing(root)


def test_commands_that_write_say_why_they_cannot(root: Path) -> None:
    for command in (["rm", "app:*"], ["gc"], ["scrub"]):
        done = k0rdentd("store", *command, "-s", root)
        assert done.returncode == 4
        assert "read-only" in done.stderr.lower()
        assert len(done.stderr.splitlines()) == 1


def test_a_registry_serves_pulls_and_refuses_pushes(root: Path, tmp_path: Path) -> None:
    arguments = ("-s", root, "--tls", "off", "--push", "anonymous", "--workers", "1")
    with serving(*arguments, log=tmp_path / "log") as server:
        found = resolve(server, "app", "1")
        assert found.status_code == httpx.codes.OK
        blob = found.json()["layers"][0]["digest"]
        assert httpx.get(f"{server.url}/v2/app/blobs/{blob}").status_code == httpx.codes.OK
        refused = httpx.post(f"{server.url}/v2/app/blobs/uploads/")
        assert refused.status_code == httpx.codes.FORBIDDEN
        assert refused.json()["errors"][0]["code"] == "DENIED"
        assert "read-only" in refused.text
    assert "read-only" in (tmp_path / "log").read_text()
