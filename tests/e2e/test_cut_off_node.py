"""A node of a site that is cut off: one cable to the node with the registry, and no route to anywhere else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import serving
from tests.e2e.containerd import Containerd, running_containerd
from tests.e2e.nodes import obey, stock, worker
from tests.networks import Network, isolated

pytestmark = pytest.mark.client
BOOTSTRAP, NODE = "192.168.77.1", "192.168.77.2"


@pytest.fixture
def bootstrap() -> Iterator[Network]:
    """Where the registry is."""
    with isolated() as made:
        yield made


@pytest.fixture
def there(bootstrap: Network) -> Iterator[Network]:
    """Where a node is."""
    with isolated() as made:
        bootstrap.join(made, f"{BOOTSTRAP}/24", f"{NODE}/24")
        yield made


@pytest.fixture
def containerd(there: Network, tmp_path: Path) -> Iterator[Containerd]:
    """The node's own; this very test runs where it is."""
    folder = tmp_path / "containerd"
    folder.mkdir()
    with there.entered(), running_containerd(folder) as daemon:
        yield daemon


def test_a_node_without_a_route_pulls_from_the_bootstrap_nodes_address(
    bootstrap: Network, there: Network, containerd: Containerd, tmp_path: Path
) -> None:
    wanted = stock(tmp_path / "store")
    ca = tmp_path / "store/pki/ca.crt"
    with bootstrap.entered(), serving("-H", "0.0.0.0", "-s", tmp_path / "store", log=tmp_path / "log", ca=ca) as site:
        address = f"{BOOTSTRAP}:{site.port}"
        obey(containerd, worker(tmp_path / "node", address), ca)
        with there.entered():
            for image in wanted:
                pulled = containerd.pull(image)
                assert pulled.returncode == 0, pulled.stderr
            assert containerd.digests() == wanted
    for network in (bootstrap, there):
        (only,) = network.ip("route", "show").splitlines()
        assert only.startswith("192.168.77.0/24 dev cable0 ")
