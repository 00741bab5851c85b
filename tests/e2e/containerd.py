"""containerd with everything of its own in one folder, and nothing of it left at the end."""

import os
import platform
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.e2e.clients import SECONDS, attempt, program, run

CONFIG = """\
version = {version}
root = "{folder}/root"
state = "{folder}/state"
imports = ["{folder}/imports/*.toml"]
[grpc]
  address = "{folder}/c.sock"
"""
# By the version of the configuration. The native snapshotter, as overlayfs cannot stand on every file system.
PLUGINS = {
    2: """\
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "{folder}/cni"
""",
    3: """\
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
[plugins."io.containerd.cri.v1.runtime".cni]
  conf_dir = "{folder}/cni"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/{machine}"
  snapshotter = "native"
  differ = "walking"
""",
}
# containerd 1 takes no file without a [host] table; `server` keeps it from asking the public registry afterwards.
HOSTS = """\
server = "{url}"
{trust}[host."{url}"]
  capabilities = ["pull", "resolve", "push"]
{trust}"""
TRUST = 'ca = "{ca}"\n'  # once for `server`, once for the host
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
NATIVE = ("--snapshotter", "native")  # overlayfs cannot stand on every file system


@dataclass(frozen=True)
class Containerd:
    """A running containerd."""

    folder: Path

    @property
    def client(self) -> tuple[str, str]:
        """The options of `ctr` that reach it."""
        return "--address", f"{self.folder}/c.sock"

    def mirror(self, upstream: str, server: Server) -> None:
        """Have images of `upstream` pulled from `server`."""
        hosts = self.folder / "certs.d" / upstream / "hosts.toml"
        hosts.parent.mkdir(parents=True)
        trust = "" if server.ca is None else TRUST.format(ca=server.ca)
        hosts.write_text(HOSTS.format(url=server.url, trust=trust))

    def pull(self, image: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Pull and unpack `image`."""
        hosts = ("--hosts-dir", self.folder / "certs.d")
        return attempt("ctr", *self.client, "images", "pull", *hosts, *NATIVE, *options, image)

    def push(self, image: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Push `image` to where it is named after."""
        return attempt(
            "ctr", *self.client, "images", "push", "--hosts-dir", str(self.folder / "certs.d"), *options, image
        )

    def digests(self) -> dict[str, str]:
        """Digest by image, of all that it has."""
        lines = run("ctr", *self.client, "images", "ls").splitlines()[1:]
        return {name: digest for name, _, digest, *_ in map(str.split, lines)}

    def read(self, image: str, path: str) -> str:
        """The file at `path`, copied out by the busybox of a container of `image`, made by runc.

        By way of a mount: of a process that ends at once containerd loses the output now and then.
        """
        runtime = ("--runc-binary", program("runc"), "--runc-root", self.folder / "runc")
        fifos = ("--fifo-dir", self.folder / "fifo")
        out = Path(tempfile.mkdtemp(dir=self.folder))
        mount = ("--mount", f"type=bind,src={out},dst=/out,options=rbind:rw")
        command = ("/bin/busybox", "cp", path, "/out/copy")
        run("ctr", *self.client, "run", "--rm", *NATIVE, *runtime, *fifos, *mount, image, "e2e", *command)
        return (out / "copy").read_text()


def config_version() -> int:
    """The version in which this containerd writes its configuration."""
    return 2 if re.search(r" v?1\.", run("containerd", "--version")) else 3


def configuration(folder: Path, dropin: str) -> str:
    """As k0s makes it: containerd 2 imports the drop-in, for containerd 1 k0s merges it into the rest."""
    version = config_version()
    values = {"folder": folder, "version": version, "machine": MACHINES[platform.machine()]}
    text = (CONFIG + PLUGINS[version]).format(**values)
    if version == 2:
        return text + dropin.replace("version = 2\n", "")
    (folder / "imports").mkdir()
    (folder / "imports/k0rdentd.toml").write_text(dropin)
    return text


@contextmanager
def running_containerd(folder: Path, dropin: str = "") -> Iterator[Containerd]:
    """A containerd that lives in `folder`; its daemon, shims, containers and mounts are gone at the end."""
    if os.geteuid() != 0:
        pytest.fail("containerd and runc need root: run these tests as root")
    config = folder / "config.toml"
    config.write_text(configuration(folder, dropin))
    with (folder / "log").open("wb") as log:
        command = [program("containerd"), "--config", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    daemon = Containerd(folder)
    try:
        wait_until_answering(daemon, process)
        yield daemon
    finally:
        remove_tasks(daemon)
        stop(process)
        clean(folder)


def wait_until_answering(daemon: Containerd, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while attempt("ctr", *daemon.client, "version").returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"containerd does not answer: {(daemon.folder / 'log').read_text()}")
        time.sleep(0.02)


def remove_tasks(daemon: Containerd) -> None:
    """Those that a failed test left, with the daemon's help; it may be dead too."""
    for task in attempt("ctr", *daemon.client, "tasks", "ls", "-q").stdout.split():
        attempt("ctr", *daemon.client, "tasks", "delete", "--force", task)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def clean(folder: Path) -> None:
    """Take away what should be gone by now, and say so."""
    containers, shims = list((folder / "runc").glob("*/*")), shims_of(folder)
    for container in containers:
        attempt("runc", "--root", container.parent, "delete", "--force", container.name)
    for shim in shims:
        os.kill(shim, signal.SIGKILL)
    mounts = mounts_below(folder)
    for mount in mounts:
        attempt("umount", "--lazy", mount)
    assert (containers, shims, mounts) == ([], [], []), f"{folder}: containerd left containers, shims or mounts behind"


def shims_of(folder: Path) -> list[int]:
    """Processes told, on their command line, of a socket in `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/c.sock".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return found


def mounts_below(folder: Path) -> list[str]:
    """Mount points, the deepest first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)
