"""skopeo, with which operators copy images in: byte for byte, with a login where one is needed."""

import json
from pathlib import Path

import pytest

from bench.layout import Tree, index, oci_archive
from tests.conftest import Server, resolve
from tests.e2e.clients import attempt, run
from tests.e2e.content import layout_tree
from tests.e2e.users import ALICE
from tests.images import small_image

pytestmark = pytest.mark.client

COPY = ("copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false")
IMAGES = {
    "image": lambda: small_image("one", 3_000_000),
    "multi-platform-index": lambda: index([small_image("amd"), small_image("arm", arch="arm64")]),
}


@pytest.fixture(params=IMAGES)
def tree(request: pytest.FixtureRequest) -> Tree:
    return IMAGES[request.param]()


def archive(tree: Tree, folder: Path) -> str:
    return f"oci-archive:{oci_archive(tree).write(folder / 'image.tar')}"


def pulled_back(image: str, folder: Path) -> set[str]:
    """Digests of what skopeo fetches without a login, each byte checked."""
    run("skopeo", *COPY, image, f"oci:{folder / 'back'}:back")
    return set(layout_tree(folder / "back"))


def digests(tree: Tree) -> set[str]:
    return {blob.digest for blob in tree.blobs}


def test_what_skopeo_pushes_comes_back_byte_for_byte(anonymous: Server, tree: Tree, tmp_path: Path) -> None:
    image = f"docker://{anonymous.host}/skopeo/pushed:{tree.root.hex[:12]}"
    run("skopeo", *COPY, archive(tree, tmp_path), image)
    assert pulled_back(image, tmp_path) == digests(tree)


def test_credentials_on_the_command_line_let_skopeo_push(guarded: Server, tree: Tree, tmp_path: Path) -> None:
    image = f"docker://{guarded.host}/skopeo/credentials:{tree.root.hex[:12]}"
    run("skopeo", *COPY, "--dest-creds", ALICE.credentials, archive(tree, tmp_path), image)
    assert pulled_back(image, tmp_path) == digests(tree)


def test_a_login_lets_skopeo_push_and_delete(guarded: Server, tree: Tree, tmp_path: Path) -> None:
    login = ("--authfile", tmp_path / "auth.json")
    image = f"docker://{guarded.host}/skopeo/login:{tree.root.hex[:12]}"
    account = ("-u", ALICE.name, "-p", ALICE.password)
    run("skopeo", "login", *login, "--tls-verify=false", *account, guarded.host)
    run("skopeo", *COPY, *login, archive(tree, tmp_path), image)
    assert pulled_back(image, tmp_path) == digests(tree)
    run("skopeo", "delete", *login, "--tls-verify=false", image)
    assert resolve(guarded, "skopeo/login", tree.root.hex[:12]).status_code == 404


def test_a_wrong_password_is_told_at_login(guarded: Server, tmp_path: Path) -> None:
    options = ("--authfile", tmp_path / "auth.json", "--tls-verify=false")
    refused = attempt("skopeo", "login", *options, "-u", ALICE.name, "-p", "wrong", guarded.host)
    assert refused.returncode != 0
    assert "invalid username/password" in refused.stderr


@pytest.mark.parametrize("credentials", [(), ("--dest-creds", f"{ALICE.name}:wrong")])
def test_a_push_without_the_right_login_is_refused_and_leaves_nothing(
    guarded: Server, credentials: tuple[str, ...], tmp_path: Path
) -> None:
    image = f"docker://{guarded.host}/skopeo/refused:1"
    refused = attempt("skopeo", *COPY, *credentials, archive(small_image(), tmp_path), image)
    assert refused.returncode != 0
    assert "unauthorized" in refused.stderr or "authentication required" in refused.stderr
    assert resolve(guarded, "skopeo/refused", "1").status_code == 404


def test_a_push_is_denied_where_pushing_is_off(server: Server, tmp_path: Path) -> None:
    image = f"docker://{server.host}/skopeo/denied:1"
    refused = attempt("skopeo", *COPY, archive(small_image(), tmp_path), image)
    assert refused.returncode != 0
    assert "denied" in refused.stderr


def test_a_layer_that_is_there_already_is_mounted_and_not_sent_again(anonymous: Server, tmp_path: Path) -> None:
    tree = small_image("mounted", 2_000_000)
    for repository in ("skopeo/first", "skopeo/second"):
        run("skopeo", *COPY, archive(tree, tmp_path), f"docker://{anonymous.host}/{repository}:1")
    image = f"docker://{anonymous.host}/skopeo/third:1"
    run("skopeo", *COPY, f"docker://{anonymous.host}/skopeo/first:1", image)
    assert pulled_back(image, tmp_path) == digests(tree)
    shown = json.loads(run("skopeo", "inspect", "--tls-verify=false", image))
    assert shown["Digest"] == tree.root.digest
