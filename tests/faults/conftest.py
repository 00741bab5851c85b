"""What the fault tests share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.bundle import BundleSpec
from bench.corpus import write_bundle
from bench.layout import oci_archive
from tests.conftest import k0rdentd
from tests.faults.volume import Volume
from tests.images import small_image, write_tar

_MIB = 1024 * 1024


@pytest.fixture(scope="session")
def large_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 MB that take a load most of a second."""
    path = tmp_path_factory.mktemp("large-bundle") / "airgap-bundle-1.2.3.tar.gz"
    write_bundle(BundleSpec(size=150_000_000), path, "tar.gz")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where a store is to be; removed afterwards, for pytest keeps the rest of the last runs."""
    yield tmp_path / "store"
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds one image, to be copied."""
    folder = tmp_path_factory.mktemp("seed")
    bundle = write_tar(folder / "seed.tar", {"seed_1.tar": oci_archive(small_image())})
    assert k0rdentd("load", bundle, "-s", folder / "store").returncode == 0
    return folder / "store"


@pytest.fixture
def seeded_root(root: Path, seed: Path) -> Path:
    """A store that holds one image."""
    return Path(shutil.copytree(seed, root))


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """An empty disk of 40 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    made = Volume(tmp_path / "volume")
    made.path.mkdir()
    made.mount(40 * _MIB)
    yield made
    made.unmount()
