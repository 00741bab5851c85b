"""containerd pushes an image that it was given, and pulls it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.layout import Tree, index, oci_archive
from tests.conftest import Server, resolve
from tests.e2e.clients import attempt, run
from tests.e2e.containerd import NATIVE, Containerd, running_containerd
from tests.e2e.users import ALICE
from tests.images import small_image

pytestmark = pytest.mark.client

ALL = ("--plain-http", "--all-platforms")


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    with running_containerd(tmp_path_factory.mktemp("containerd")) as running:
        yield running


def imported(daemon: Containerd, tree: Tree, image: str, folder: Path) -> str:
    """`image`, which the daemon has now under that name."""
    archive = oci_archive(tree, {"io.containerd.image.name": image}).write(folder / "image.tar")
    run("ctr", *daemon.client, "images", "import", "--all-platforms", "--no-unpack", archive)
    assert daemon.digests() == {image: tree.root.digest}
    return image


@pytest.mark.parametrize("tree", [small_image("one"), index([small_image("amd"), small_image("arm", arch="arm64")])])
def test_what_containerd_pushes_comes_back(anonymous: Server, daemon: Containerd, tmp_path: Path, tree: Tree) -> None:
    image = imported(daemon, tree, f"{anonymous.host}/containerd/pushed:{tree.root.hex[:12]}", tmp_path)
    run("ctr", *daemon.client, "images", "push", "--plain-http", image)
    run("ctr", *daemon.client, "images", "rm", "--sync", image)
    run("ctr", *daemon.client, "images", "pull", *ALL, *NATIVE, image)
    assert daemon.digests() == {image: tree.root.digest}


def test_containerd_pushes_with_credentials_and_pulls_without(
    guarded: Server, daemon: Containerd, tmp_path: Path
) -> None:
    tree = small_image("guarded")
    image = imported(daemon, tree, f"{guarded.host}/containerd/guarded:1", tmp_path)
    refused = attempt("ctr", *daemon.client, "images", "push", "--plain-http", image)
    assert refused.returncode != 0
    assert resolve(guarded, "containerd/guarded", "1").status_code == 404
    run("ctr", *daemon.client, "images", "push", "--plain-http", "--user", ALICE.credentials, image)
    run("ctr", *daemon.client, "images", "rm", "--sync", image)
    run("ctr", *daemon.client, "images", "pull", *ALL, *NATIVE, image)
    assert daemon.digests() == {image: tree.root.digest}
