"""Clients that are given the registry's CA and nothing else pull and push over HTTPS, and no other way is open."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.layout import oci_archive
from tests.conftest import Server, resolve
from tests.e2e.clients import attempt, run
from tests.e2e.containerd import Containerd, running_containerd
from tests.e2e.content import layout_tree, root_digest, served_tree
from tests.e2e.helm import ACCOUNT, Helm, package
from tests.e2e.images import MARKER, REPOSITORIES, TAG, marker
from tests.e2e.users import ALICE
from tests.images import small_image

pytestmark = pytest.mark.client

REPOSITORY = REPOSITORIES[0]


@pytest.fixture
def trust(secured: Server, tmp_path: Path) -> Path:
    """A directory of certificates as skopeo and podman take it, with the CA alone."""
    assert secured.ca is not None
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(secured.ca.read_bytes())
    return folder


@pytest.fixture
def podman() -> Iterator[tuple[str | Path, ...]]:
    """The options that give podman a storage of its own."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder:  # podman takes no more than 50 characters
        root = Path(folder)
        yield "--root", root / "root", "--runroot", root / "run", "--storage-driver", "vfs", "--tmpdir", root / "tmp"


@pytest.fixture
def daemon(secured: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    """A containerd whose hosts.toml names the CA."""
    with running_containerd(tmp_path_factory.mktemp("containerd")) as running:
        for upstream in ("quay.io", secured.host):
            running.mirror(upstream, secured)
        yield running


def test_skopeo_copies_there_and_back(secured: Server, trust: Path, tmp_path: Path) -> None:
    tree = small_image("skopeo", 3_000_000)
    image = f"docker://{secured.host}/trust/skopeo:1"
    source = f"oci-archive:{oci_archive(tree).write(tmp_path / 'image.tar')}"
    push = ("--preserve-digests", "--dest-cert-dir", trust, "--dest-creds", ALICE.credentials)
    run("skopeo", "copy", *push, source, image)
    run("skopeo", "copy", "--preserve-digests", "--src-cert-dir", trust, image, f"oci:{tmp_path / 'back'}:back")
    assert set(layout_tree(tmp_path / "back")) == {blob.digest for blob in tree.blobs}


def test_podman_pulls_pushes_and_pulls_again(secured: Server, trust: Path, podman: tuple[str | Path, ...]) -> None:
    certificates = ("--cert-dir", trust)
    image = run("podman", *podman, "pull", "-q", *certificates, f"{secured.host}/{REPOSITORY}:{TAG}").strip()
    target = f"{secured.host}/trust/podman:1"
    run("podman", *podman, "push", *certificates, "--creds", ALICE.credentials, image, target)
    run("podman", *podman, "rmi", "--force", image)
    assert run("podman", *podman, "pull", "-q", *certificates, target).strip() == image


def test_a_container_runs_from_what_containerd_pulled(daemon: Containerd) -> None:
    image = f"quay.io/{REPOSITORY}:{TAG}"
    pulled = daemon.pull(image)
    assert pulled.returncode == 0, pulled.stderr
    assert daemon.read(image, MARKER) == f"{marker(REPOSITORY)}\n"


def test_an_image_that_is_not_there_reads_as_not_found(daemon: Containerd) -> None:
    """containerd asks `server` after [host]: a `ca` for one of them alone would tell of a certificate instead."""
    pulled = daemon.pull("quay.io/k0sproject/nothing:1.0")
    assert pulled.returncode != 0
    assert "quay.io/k0sproject/nothing:1.0: not found" in pulled.stderr
    assert "x509" not in pulled.stderr


def test_containerd_pushes_what_it_pulled(secured: Server, daemon: Containerd) -> None:
    pulled, pushed = f"{secured.host}/{REPOSITORY}:{TAG}", f"{secured.host}/trust/containerd:1"
    done = daemon.pull(pulled)
    assert done.returncode == 0, done.stderr
    run("ctr", *daemon.client, "images", "tag", pulled, pushed)
    done = daemon.push(pushed, "--user", ALICE.credentials)
    assert done.returncode == 0, done.stderr
    assert root_digest(served_tree(secured, "trust/containerd", "1")) == daemon.digests()[pulled]


def test_helm_pushes_and_pulls_a_chart(secured: Server, helm: Helm, tmp_path: Path) -> None:
    """By the machine's own name: names of the loopback are always asked over plain HTTP by helm."""
    packed = package(helm, tmp_path, "1.0.0")
    charts, trust = f"oci://{socket.gethostname()}:{secured.port}/trust/charts", ("--ca-file", str(secured.ca))
    helm.run("push", packed, charts, *trust, *ACCOUNT)
    (tmp_path / "pulled").mkdir()
    helm.run("pull", f"{charts}/demo", "--version", "1.0.0", *trust, "--destination", tmp_path / "pulled")
    assert (tmp_path / "pulled" / packed.name).read_bytes() == packed.read_bytes()


Ask = Callable[[str], tuple[str | Path, ...]]
STRANGERS: dict[str, Ask] = {
    "skopeo": lambda host: ("inspect", f"docker://{host}/{REPOSITORY}:{TAG}"),
    "podman": lambda host: ("search", "--list-tags", f"{host}/{REPOSITORY}"),
    "curl": lambda host: ("-sSf", f"https://{host}/v2/"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_client_without_the_ca_refuses(secured: Server, name: str) -> None:
    refused = attempt(name, *STRANGERS[name](secured.host))
    assert refused.returncode != 0
    assert "certificate" in refused.stderr


def test_a_client_that_gives_up_tls_is_refused(secured: Server) -> None:
    assert "400" in attempt("curl", "-sSf", f"http://{secured.host}/v2/").stderr
    assert resolve(secured, REPOSITORY, TAG).status_code == 200
