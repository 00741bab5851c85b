"""podman and buildah, each with a storage of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.corpus import Contents, Member
from tests.conftest import Server, resolve
from tests.e2e.clients import run
from tests.e2e.content import sha256

pytestmark = pytest.mark.client

PULL = ("pull", "--quiet", "--tls-verify=false")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[tuple[str | Path, ...]]:
    """The options that give a client a storage of its own; vfs needs nothing of the file system."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as run_root:  # podman takes no more than 50 characters
        yield "--root", tmp_path / "root", "--runroot", run_root, "--storage-driver", "vfs"


def images(contents: Contents) -> list[Member]:
    return [member for member in contents.members if member.kind in ("image", "docker-archive")]


def test_podman_pulls_every_image(
    server: Server, bundle: tuple[Path, Contents], storage: tuple[str | Path, ...], tmp_path: Path
) -> None:
    options = (*storage, "--tmpdir", tmp_path / "tmp")
    for member in images(bundle[1]):
        image = f"{server.host}/{member.repository}:{member.tag}"
        run("podman", *options, *PULL, image)
        known = run("podman", *options, "image", "inspect", "--format", "{{.RepoDigests}}", image)
        digest = sha256(resolve(server, member.repository, member.tag).content)
        assert f"{server.host}/{member.repository}@{digest}" in known
        assert digest == (member.digest or digest)


def test_buildah_pulls_an_image_and_knows_it_by_its_config(
    server: Server, bundle: tuple[Path, Contents], storage: tuple[str | Path, ...]
) -> None:
    member = next(one for one in images(bundle[1]) if one.platforms == ("linux/amd64",))
    name = run("buildah", *storage, *PULL, f"{server.host}/{member.repository}:{member.tag}").strip()
    assert f"sha256:{name}" == resolve(server, member.repository, member.tag).json()["config"]["digest"]
