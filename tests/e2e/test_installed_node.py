"""What an installation writes on a node, given to the programs that read it there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.host import Host
from installer.paths import CONTAINERD_DROPIN, CONTAINERD_HOSTS
from tests.conftest import Server, k0rdentd, serving
from tests.e2e.containerd import Containerd, running_containerd
from tests.e2e.nodes import ASKED, obey, stock, worker

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
    with running_containerd(tmp_path_factory.mktemp("containerd")) as daemon:
        obey(daemon, node, site.ca)
        yield daemon


def test_images_of_every_upstream_come_from_the_registry(containerd: Containerd, site: Server) -> None:
    names = [name for asked in ASKED.values() for name in asked]
    for image in (*names, f"{site.host}/k0sproject/coredns:1.12.2"):
        pulled = containerd.pull(image)
        assert pulled.returncode == 0, pulled.stderr


def test_what_the_registry_lacks_is_asked_for_nowhere_else(containerd: Containerd, site: Server) -> None:
    pulled = containerd.pull("quay.io/k0sproject/not-there:1")
    assert (pulled.returncode, "not-there:1: not found" in pulled.stderr) == (1, True), pulled.stderr
    asked = set(re.findall(r'host="?([^"\s]+)', pulled.stderr))
    assert asked == {site.host}, pulled.stderr


def test_containerd_takes_the_drop_in_for_its_own(node: Host) -> None:
    file = node.at(CONTAINERD_DROPIN)
    dumped = subprocess.run(
        ["containerd", "--config", str(file), "config", "dump"], capture_output=True, text=True, check=True
    )
    registry = dumped.stdout.partition('[plugins."io.containerd.grpc.v1.cri".registry]')[2]
    assert f'config_path = "{CONTAINERD_HOSTS}"' in registry.partition("\n\n")[0]


def test_a_preloaded_archive_is_imported_under_full_names(containerd: Containerd, site: Server, tmp_path: Path) -> None:
    out = tmp_path / "images.tar"
    store = site.log.parent / "store"
    made = k0rdentd("store", "export", "pause:3.9", out, "-s", store, "--registry", "192.0.2.10:5000")
    assert made.returncode == 0, made.stderr
    subprocess.run(["ctr", *containerd.client, "images", "import", "--no-unpack", str(out)], check=True)
    assert "192.0.2.10:5000/pause:3.9" in containerd.digests()
