"""What the client tests share: a registry while it is loaded and after a restart, and a containerd that mirrors it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench.corpus import Contents
from registry.storage.layout import Layout
from tests.conftest import Server, k0rdentd, serving
from tests.e2e.containerd import Containerd, running_containerd
from tests.e2e.helm import Helm, extract_helm
from tests.e2e.images import write_runnable_bundle
from tests.e2e.users import write_htpasswd


@pytest.fixture(scope="session")
def runnable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second bundle, of images with a busybox."""
    return write_runnable_bundle(tmp_path_factory.mktemp("runnable"))


@pytest.fixture(scope="session")
def first_life(
    bundle: tuple[Path, Contents], runnable: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A registry that holds both bundles, in the life in which it loaded them."""
    with loading(tmp_path_factory.mktemp("loading"), bundle[0], runnable) as running:
        yield running


@pytest.fixture(scope="session")
def next_life(
    bundle: tuple[Path, Contents], runnable: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Another one, in its next life without them."""
    folder = tmp_path_factory.mktemp("restarted")
    with loading(folder, bundle[0], runnable):
        pass
    with serving_verbosely("-s", folder / "store", log=folder / "next.log") as running:
        yield running


@pytest.fixture(scope="session", params=["first_life", "next_life"])
def server(request: pytest.FixtureRequest) -> Server:
    """A registry that holds both bundles. Each is kept for all files of tests that take turns between them."""
    running: Server = request.getfixturevalue(request.param)
    return running


@contextmanager
def loading(folder: Path, bundle: Path, runnable: Path) -> Iterator[Server]:
    """A registry started with a copy of the bundle, which is gone later; the other comes while it serves."""
    copy = folder / bundle.name
    os.link(bundle, copy)
    with serving_verbosely("-s", folder / "store", "-b", copy, log=folder / "log") as running:
        loaded = k0rdentd("load", runnable, "-s", folder / "store")
        assert loaded.returncode == 0, loaded.stderr
        copy.unlink()
        yield running


@contextmanager
def serving_verbosely(*arguments: str | Path, log: Path, ca: Path | None = None) -> Iterator[Server]:
    """A registry that logs every request."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("K0RDENTD_LOG_LEVEL", "debug")
            running = stack.enter_context(serving(*arguments, "--workers", "2", log=log, wait_for="/readyz", ca=ca))
        yield running


@pytest.fixture(scope="session")
def anonymous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry to which anybody may push."""
    folder = tmp_path_factory.mktemp("anonymous")
    with serving_verbosely("-s", folder / "store", "--push", "anonymous", log=folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry from which anybody may pull, and to which only its user may push."""
    folder = tmp_path_factory.mktemp("guarded")
    options = ("-s", folder / "store", "--htpasswd", write_htpasswd(folder))
    with serving_verbosely(*options, log=folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def secured(runnable: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that holds the runnable images, takes pushes from its user, and speaks nothing but HTTPS."""
    folder = tmp_path_factory.mktemp("secured")
    loaded = k0rdentd("load", runnable, "-s", folder / "store")
    assert loaded.returncode == 0, loaded.stderr
    own_names = ("-H", "0.0.0.0")  # the machine's own name is no name of the loopback
    options = (*own_names, "-s", folder / "store", "--htpasswd", write_htpasswd(folder), "--plain-http", "off")
    ca = Layout(folder / "store").ca_certificate
    with serving_verbosely(*options, log=folder / "log", ca=ca) as running:
        yield running


@pytest.fixture
def containerd(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    """A containerd that takes the images of quay.io from the registry."""
    with running_containerd(tmp_path_factory.mktemp("containerd")) as daemon:
        daemon.mirror("quay.io", server)
        yield daemon


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extract_helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture
def helm(program: Path, tmp_path: Path) -> Helm:
    return Helm(program, tmp_path)
