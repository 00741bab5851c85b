"""podman and buildah push what was built: with a login, and refused without one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.layout import oci_archive
from tests.conftest import Server, resolve
from tests.e2e.clients import attempt, run
from tests.e2e.content import root_digest, served_tree, sha256
from tests.e2e.users import ALICE
from tests.images import small_image

pytestmark = pytest.mark.client

Options = tuple[str | Path, ...]
INSECURE = "--tls-verify=false"


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Options]:
    """A storage of the client's own."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as run_root:  # podman takes no more than 50 characters
        yield "--root", tmp_path / "root", "--runroot", run_root, "--storage-driver", "vfs"


@pytest.fixture
def podman(storage: Options, tmp_path: Path) -> Options:
    return *storage, "--tmpdir", tmp_path / "tmp"


@pytest.fixture
def image(podman: Options, tmp_path: Path) -> str:
    """The id of an image in podman's storage: the digest of its config, which no push changes."""
    archive = oci_archive(small_image("podman", 200_000)).write(tmp_path / "image.tar")
    return run("podman", *podman, "pull", "--quiet", f"oci-archive:{archive}").strip()


def pushed_digest(podman: Options, *arguments: str | Path, folder: Path) -> str:
    """What podman says that it pushed."""
    run("podman", *podman, "push", INSECURE, "--digestfile", folder / "digest", *arguments)
    return (folder / "digest").read_text()


def assert_pulled_back(server: Server, podman: Options, image: str, reference: str) -> None:
    """A storage that has forgotten the image gets it again, without a login."""
    run("podman", *podman, "rmi", "--force", image)
    assert run("podman", *podman, "pull", "--quiet", INSECURE, f"{server.host}/{reference}").strip() == image


def test_what_podman_pushes_comes_back(anonymous: Server, podman: Options, image: str, tmp_path: Path) -> None:
    digest = pushed_digest(podman, image, f"{anonymous.host}/podman/open:1", folder=tmp_path)
    assert root_digest(served_tree(anonymous, "podman/open", "1")) == digest
    assert_pulled_back(anonymous, podman, image, "podman/open:1")


def test_podman_pushes_after_its_login(guarded: Server, podman: Options, image: str, tmp_path: Path) -> None:
    login = ("--authfile", tmp_path / "auth.json")
    run("podman", *podman, "login", *login, INSECURE, "-u", ALICE.name, "-p", ALICE.password, guarded.host)
    digest = pushed_digest(podman, *login, image, f"{guarded.host}/podman/login:1", folder=tmp_path)
    assert sha256(resolve(guarded, "podman/login", "1").content) == digest
    assert_pulled_back(guarded, podman, image, "podman/login:1")


def test_podman_without_a_login_is_refused(guarded: Server, podman: Options, image: str, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody.json"
    nobody.write_text("{}")
    options = ("--authfile", nobody, INSECURE, image)
    refused = attempt("podman", *podman, "push", *options, f"{guarded.host}/podman/refused:1")
    assert refused.returncode != 0
    assert "unauthorized" in refused.stderr or "authentication required" in refused.stderr
    assert resolve(guarded, "podman/refused", "1").status_code == 404


def test_what_buildah_built_is_pushed_and_pulled(
    guarded: Server, storage: Options, podman: Options, tmp_path: Path
) -> None:
    (tmp_path / "content").write_bytes(b"built here\n")
    container = run("buildah", *storage, "from", "scratch").strip()
    run("buildah", *storage, "copy", container, tmp_path / "content", "/content")
    image = run("buildah", *storage, "commit", "--quiet", "--rm", container).strip()
    name = f"{guarded.host}/buildah/built:1"
    run("buildah", *storage, "push", INSECURE, "--creds", ALICE.credentials, image, f"docker://{name}")
    assert resolve(guarded, "buildah/built", "1").json()["config"]["digest"] == f"sha256:{image}"
    assert_pulled_back(guarded, podman, image, "buildah/built:1")
