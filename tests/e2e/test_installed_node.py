"""What an installation writes on a node, given to the programs that read it there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from installer.host import Host
from tests.conftest import Server, k0rdentd, resolve, serving
from tests.e2e.containerd import Containerd, running_containerd
from tests.e2e.kubelet import Kubelet
from tests.e2e.nodes import ASKED, dropin_of, obey, stock, worker

pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("site")
    stock(folder / "store")
    with serving("-s", folder / "store", log=folder / "log", ca=folder / "store/pki/ca.crt") as running:
        yield running


@pytest.fixture(scope="module")
def node(site: Server, tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A node with the files of a worker."""
    return worker(tmp_path_factory.mktemp("node"), site.host)


@pytest.fixture
def containerd(node: Host, site: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    assert site.ca is not None
    folder = tmp_path_factory.mktemp("containerd")
    with running_containerd(folder, dropin_of(node, folder)) as daemon:
        obey(daemon, node, site.ca)
        yield daemon


def test_images_of_every_upstream_come_from_the_registry(containerd: Containerd, site: Server) -> None:
    names = [name for asked in ASKED.values() for name in asked]
    for image in (*names, f"{site.host}/k0sproject/coredns:1.12.2"):
        pulled = containerd.pull(image)
        assert pulled.returncode == 0, pulled.stderr


def test_what_the_registry_lacks_is_asked_for_nowhere_else(containerd: Containerd, site: Server) -> None:
    """A second host that cannot be reached, or refuses, would be told in the place of what was not found."""
    pulled = containerd.pull("quay.io/k0sproject/not-there:1")
    assert (pulled.returncode, "not-there:1: not found" in pulled.stderr) == (1, True), pulled.stderr
    asked = set(re.findall(r'host="?([^"\s]+)', pulled.stderr))
    assert asked <= {site.host}, pulled.stderr


def test_a_kubelet_has_its_images_from_there_by_the_drop_in(containerd: Containerd, site: Server) -> None:
    kubelet = Kubelet(containerd.folder / "c.sock")
    for name, asked in ASKED.items():
        for image in (*asked, f"{site.host}/{name}"):
            assert kubelet.pull(image) == resolve(site, *name.rsplit(":", 1)).json()["config"]["digest"]
    with pytest.raises(grpc.RpcError, match="not-there:1: not found"):
        kubelet.pull("quay.io/k0sproject/not-there:1")


def test_a_preloaded_archive_is_imported_under_full_names(containerd: Containerd, site: Server, tmp_path: Path) -> None:
    out = tmp_path / "images.tar"
    store = site.log.parent / "store"
    made = k0rdentd("store", "export", "pause:3.9", out, "-s", store, "--registry", "192.0.2.10:5000")
    assert made.returncode == 0, made.stderr
    subprocess.run(["ctr", *containerd.client, "images", "import", "--no-unpack", str(out)], check=True)
    assert "192.0.2.10:5000/pause:3.9" in containerd.digests()
