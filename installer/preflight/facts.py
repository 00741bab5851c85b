"""What is to know of a machine, gathered once; its root folder is a parameter, so that it can be any machine's."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from installer.preflight.kernel import Cgroups, Modules, read_cgroups, read_modules
from installer.preflight.network import Listener, Route, read_listeners, read_routes
from installer.preflight.processes import running_processes

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_SELINUX = {"1": "enforcing", "0": "permissive"}
# What tells of software that wants the same ports, or the same container runtime.
_TRACES: Mapping[str, Sequence[str]] = {
    "k3s": ("usr/local/bin/k3s", "var/lib/rancher/k3s"),
    "rke2": ("usr/local/bin/rke2", "var/lib/rancher/rke2"),
    "microk8s": ("var/snap/microk8s",),
    "kubeadm": ("etc/kubernetes/kubelet.conf", "etc/kubernetes/admin.conf"),
    "docker": ("run/docker.sock", "var/run/docker.sock"),
    "containerd": ("run/containerd/containerd.sock",),
    "cri-o": ("run/crio/crio.sock",),
    "k0s": ("etc/systemd/system/k0scontroller.service", "etc/systemd/system/k0sworker.service"),
}


@dataclass(frozen=True, slots=True)
class Space:
    """A filesystem (as its device number) and what is free on it, in bytes."""

    device: int
    free: int


@dataclass(frozen=True, slots=True)
class Content:
    """The bundle that is to be loaded, and what the store holds already; bytes."""

    bundle: int = 0
    stored: int = 0
    made: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine at one moment."""

    now: datetime
    built: datetime
    user: int
    architecture: str
    cpus: int
    cpu_flags: frozenset[str]
    memory: int
    swaps: tuple[str, ...]
    systemd: bool
    host_name: str
    name_known: bool
    cgroups: Cgroups
    modules: Modules
    routes: tuple[Route, ...]
    listeners: tuple[Listener, ...]
    processes: frozenset[str]
    software: frozenset[str]
    selinux: str
    apparmor: bool
    proxies: Mapping[str, str]
    spaces: Mapping[Path, Space]
    content: Content = Content()


@dataclass(frozen=True, slots=True)
class Machine:
    """Where facts are read, and what no file tells."""

    root: Path
    user: int
    architecture: str
    host_name: str
    now: datetime
    environment: Mapping[str, str]
    name_resolves: bool = False

    def path(self, absolute: str | Path) -> Path:
        return self.root / str(absolute).lstrip("/")

    def text(self, path: str) -> str:
        """What the file holds; nothing if there is none."""
        try:
            return self.path(path).read_text(errors="replace")
        except OSError:
            return ""


def gather(machine: Machine, places: Iterable[Path], content: Content) -> Facts:
    """Read all facts; `places` are the folders whose free space counts."""
    cpu = machine.text("proc/cpuinfo")
    processes = running_processes(machine.path("proc"))
    return Facts(
        now=machine.now,
        built=datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC),
        user=machine.user,
        architecture=machine.architecture,
        cpus=sum(line.startswith("processor") for line in cpu.splitlines()),
        cpu_flags=_cpu_flags(cpu),
        memory=_memory(machine.text("proc/meminfo")),
        swaps=_swaps(machine.text("proc/swaps")),
        systemd=machine.path("run/systemd/system").is_dir(),
        host_name=machine.host_name,
        name_known=machine.name_resolves or _in_hosts(machine.text("etc/hosts"), machine.host_name),
        cgroups=read_cgroups(machine.path("sys/fs/cgroup"), machine.text("proc/cgroups")),
        modules=read_modules(machine.root),
        routes=read_routes(machine.text("proc/net/route"), machine.text("proc/net/ipv6_route")),
        listeners=read_listeners(machine.path("proc"), processes),
        processes=frozenset(process.name for process in processes),
        software=_software(machine),
        selinux=_SELINUX.get(machine.text("sys/fs/selinux/enforce").strip(), "off"),
        apparmor=machine.text("sys/module/apparmor/parameters/enabled").strip() == "Y",
        proxies=_proxies(machine.environment),
        spaces={place: _space(machine.path(place)) for place in places},
        content=content,
    )


def _swaps(table: str) -> tuple[str, ...]:
    return tuple(line.split()[0] for line in table.splitlines()[1:] if line.strip())


def _software(machine: Machine) -> frozenset[str]:
    """What is there, as far as this user may look."""
    return frozenset(name for name, paths in _TRACES.items() if any(map(os.path.exists, map(machine.path, paths))))


def _proxies(environment: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in environment.items() if name.lower() in _PROXIES and value}


def measure_content(bundle: Path | None, roots: Iterable[Path]) -> Content:
    """How large the bundle is, and how much the store's roots hold; what is not there counts nothing."""
    stored = sum(_file_sizes(root / "blobs") for root in roots)
    if bundle is None or not os.path.exists(bundle):
        return Content(0, stored)
    size = _file_sizes(bundle) if bundle.is_dir() else bundle.stat().st_size
    return Content(size, stored, datetime.fromtimestamp(bundle.stat().st_mtime, UTC))


def _file_sizes(folder: Path) -> int:
    return sum((Path(where) / name).lstat().st_size for where, _, names in os.walk(folder) for name in names)


def _space(path: Path) -> Space:
    """Of the filesystem on which the folder is, or would be made."""
    while not os.path.exists(path):
        path = path.parent
    found = os.statvfs(path)
    return Space(path.stat().st_dev, found.f_bavail * found.f_frsize)


def _cpu_flags(cpuinfo: str) -> frozenset[str]:
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _memory(meminfo: str) -> int:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _in_hosts(hosts: str, name: str) -> bool:
    return any(name in line.partition("#")[0].split()[1:] for line in hosts.splitlines())
