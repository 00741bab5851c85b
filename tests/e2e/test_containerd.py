"""containerd, which pulls every image of the cluster: through hosts.toml, as on a node."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.corpus import Contents
from tests.conftest import Server
from tests.e2e.containerd import Containerd
from tests.e2e.images import MARKER, REPOSITORIES, TAG, marker

pytestmark = pytest.mark.client

REQUEST = re.compile(r'"(?:GET|HEAD) (/v2/\S+) HTTP/1.1" (\d+) .*containerd')


def requests(server: Server, repository: str) -> Iterator[tuple[str, int]]:
    """Target and status of what containerd asked about `repository`, as the registry logs it."""
    for target, status in REQUEST.findall(server.log.read_text()):
        if target.startswith(f"/v2/{repository}/"):
            yield target, int(status)


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_a_container_runs_from_an_image_of_the_bundle(containerd: Containerd, repository: str) -> None:
    image = f"quay.io/{repository}:{TAG}"
    pulled = containerd.pull(image)
    assert pulled.returncode == 0, pulled.stderr
    assert containerd.read(image, MARKER) == f"{marker(repository)}\n"


def test_the_mirror_is_told_which_registry_it_stands_for(containerd: Containerd, server: Server) -> None:
    repository = REPOSITORIES[0]
    already = len(list(requests(server, repository)))
    assert containerd.pull(f"quay.io/{repository}:{TAG}").returncode == 0
    wait_for_requests(server, repository, already + 4)  # manifest (HEAD, GET), config and layers
    asked = list(requests(server, repository))[already:]
    assert {status for _, status in asked} == {200}
    assert {target.partition("?")[2] for target, _ in asked} == {"ns=quay.io"}


def wait_for_requests(server: Server, repository: str, count: int) -> None:
    """A request is logged after it is answered: the client can be faster than the log."""
    deadline = time.monotonic() + 10
    while len(list(requests(server, repository))) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_containerd_pulls_every_image_for_all_platforms(containerd: Containerd, bundle: tuple[Path, Contents]) -> None:
    expected = {}
    for member in bundle[1].members:
        if member.kind == "image":
            image = f"quay.io/{member.repository}:{member.tag}"
            pulled = containerd.pull(image, "--all-platforms")
            assert pulled.returncode == 0, pulled.stderr
            expected[image] = member.digest
    assert containerd.digests() == expected


def test_containerd_that_tries_tls_first_falls_back_to_plain_http(containerd: Containerd, server: Server) -> None:
    own_name = f"localhost:{server.port}"  # without a hosts.toml: a loopback name is asked over TLS, then plainly
    pulled = containerd.pull(f"{own_name}/{REPOSITORIES[1]}:{TAG}")
    assert pulled.returncode == 0, pulled.stderr


def test_an_image_that_is_not_there_is_not_looked_for_upstream(containerd: Containerd) -> None:
    pulled = containerd.pull("quay.io/k0sproject/nothing:1.0")
    assert pulled.returncode != 0
    assert "quay.io/k0sproject/nothing:1.0: not found" in pulled.stderr
    assert "host=quay.io" not in pulled.stderr
