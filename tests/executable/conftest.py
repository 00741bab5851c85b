"""Real executables, built once for all tests, and a root with nothing but busybox in it."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer.packaging.archive import pack
from installer.packaging.build import K0s, build_executable, build_runtime
from installer.packaging.errors import BuildFailed
from installer.packaging.joining import join
from installer.packaging.locks import ROOT
from tests.e2e.clients import program
from tests.executable.roots import Root

K0S_VERSION = "v1.32.8+k0s.0"


@dataclass(frozen=True)
class Built:
    """What a build leaves; the second version differs in its runtime."""

    folder: Path

    @property
    def online(self) -> Path:
        return self.folder / "k0rdentd"

    @property
    def airgap(self) -> Path:
        return self.folder / "k0rdentd-airgap"

    @property
    def second(self) -> Path:
        return self.folder / "k0rdentd-second"

    @property
    def tree(self) -> Path:
        return self.folder / "runtime"

    @property
    def cache(self) -> Path:
        return Path(os.environ.get("K0RDENTD_WHEELHOUSE", ROOT / "build/cache"))

    def make(self) -> None:
        self.folder.mkdir()
        runtime = build_runtime(self.folder, self.cache, "amd64", level=1)
        build_executable(runtime, self.online, None)
        build_executable(runtime, self.airgap, K0s(Path(program("busybox")), K0S_VERSION))
        shutil.copytree(self.tree, self.folder / "runtime-second", copy_function=os.link)
        (self.folder / "runtime-second/share/second").write_text("another version")
        unpacked = pack(self.folder / "runtime-second", self.folder / "second.tar.zst", 1)
        join(self.second, runtime.launcher, self.folder / "second.tar.zst", unpacked, {"flavor": "online"}, None)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The executables: made by the first process of the tests that wants them."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    found = Built(shared / "executables")
    with (shared / "executables.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.second.exists():
            shutil.rmtree(found.folder, ignore_errors=True)
            try:
                found.make()
            except BuildFailed as error:
                pytest.fail(
                    f"the executables cannot be built (a locked package may be gone: make lock-runtime): {error}"
                )
    return found


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A root with busybox, and no C library, Python or network."""
    return Root.of_busybox(tmp_path / "root")
