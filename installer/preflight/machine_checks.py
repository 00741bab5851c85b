"""Checks of the machine itself: pure functions of facts and settings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from installer.preflight.facts import Facts
from installer.preflight.finding import Finding, fatal, note, warning
from installer.settings import Settings

GIB = 1024**3
K0S_DATA = Path("/var/lib/k0s")
# What a node unpacks of the images: k0s' own on a worker, k0rdent's too where its pods may run.
_WORKER_DISK, _CONTROLLER_DISK = 10 * GIB, 30 * GIB
_ARCHITECTURES = frozenset({"x86_64", "aarch64"})
# x86-64 psABI, level 2; /proc/cpuinfo calls SSE3 pni, and CMPXCHG16B cx16.
_LEVEL_2 = frozenset({"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"})
# k0s refuses to start without the first; the others it can miss.
_CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids"})
_CONTROLLERS_V1 = _CONTROLLERS | {"cpuacct", "devices", "freezer"}
_MODULES = ("overlay", "br_netfilter", "nf_conntrack")
_NODE_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_OTHER_CLUSTERS = ("k3s", "rke2", "microk8s", "kubeadm")
_OTHER_RUNTIMES = ("docker", "containerd", "cri-o")


def check_user(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if facts.user != 0:
        yield fatal("root", "an installation needs root", "run it with sudo")


def check_systemd(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if not facts.systemd:
        yield fatal("systemd", "systemd does not run here", "install on a machine (or VM) that boots with systemd")


def check_cpu(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if facts.architecture not in _ARCHITECTURES:
        yield fatal("cpu", f"there is no k0s for {facts.architecture}", "use a machine with x86_64 or aarch64")
    missing = _LEVEL_2 - facts.cpu_flags
    if facts.architecture == "x86_64" and missing:
        what = f"the CPU lacks {', '.join(sorted(missing))}, which images for x86-64-v2 need"
        yield warning("cpu", what, "in a VM, give it the host's CPU model, or x86-64-v2")
    if facts.cpus == 1 and settings.join is None:
        yield warning("cpu", "one CPU is slow for k0rdent", "give the machine two, better four")


def check_memory(facts: Facts, settings: Settings) -> Iterator[Finding]:
    worker = settings.join is not None and settings.join.mode == "worker"
    least, good = (GIB, 2 * GIB) if worker else (2 * GIB, 8 * GIB)
    have = f"{facts.memory / GIB:.1f} GiB of memory"
    if facts.memory < least * 0.9:  # the kernel keeps some for itself
        yield fatal("memory", f"{have} cannot hold the node", f"give the machine {good // GIB} GiB")
    elif facts.memory < good * 0.9:
        yield warning("memory", f"{have} is little", f"give the machine {good // GIB} GiB")


def check_disk(facts: Facts, settings: Settings) -> Iterator[Finding]:
    """Needs on one filesystem add up."""
    for device, places in _by_device(facts, _needs(facts, settings)).items():
        need = sum(places.values())
        free = next(space.free for space in facts.spaces.values() if space.device == device)
        where = " and ".join(str(place) for place in places)
        if free < need:
            what = f"{free / GIB:.1f} GiB are free for {where}, and {need / GIB:.1f} are needed"
            yield fatal("disk", what, f"free {(need - free) / GIB:.1f} GiB, or mount a larger disk there")


def _needs(facts: Facts, settings: Settings) -> Mapping[Path, int]:
    worker = settings.join is not None and settings.join.mode == "worker"
    missing = max(0, facts.content.bundle - facts.content.stored)
    needs = {K0S_DATA: _WORKER_DISK if worker else _CONTROLLER_DISK}
    stores = [place for place in facts.spaces if place != K0S_DATA]
    return needs | {place: missing // len(stores) for place in stores if missing}


def _by_device(facts: Facts, needs: Mapping[Path, int]) -> Mapping[int, Mapping[Path, int]]:
    found: dict[int, dict[Path, int]] = {}
    for place, need in needs.items():
        if place in facts.spaces:
            found.setdefault(facts.spaces[place].device, {})[place] = need
    return found


def check_cgroups(facts: Facts, settings: Settings) -> Iterator[Finding]:
    version, fix = facts.cgroups.version, "mount them; on most systems: boot with systemd.unified_cgroup_hierarchy=1"
    if version == 0:
        yield fatal("cgroups", "no cgroups are mounted at /sys/fs/cgroup", fix)
        return
    missing = (_CONTROLLERS if version == 2 else _CONTROLLERS_V1) - facts.cgroups.controllers
    if missing:
        yield fatal("cgroups", f"cgroups v{version} lack {', '.join(sorted(missing))}", "enable them (cgroup_enable=…)")
    wanted = settings.k0s.version
    if version == 1 and wanted is not None and wanted.minor >= (1, 35):
        yield fatal("cgroups", f"the kubelet of k0s {wanted} refuses cgroups v1", fix)
    elif version == 1:
        yield warning("cgroups", "cgroups v1 end with Kubernetes 1.35", fix)


def check_modules(facts: Facts, settings: Settings) -> Iterator[Finding]:
    calico = settings.k0s.network.provider == "calico" and settings.join is None
    wanted = (*_MODULES, "vxlan") if calico else _MODULES
    missing = [name for name in wanted if facts.modules.lacks(name)]
    if not missing:
        return
    names = ", ".join(missing)
    if facts.modules.known:
        yield fatal(
            "modules", f"the kernel has no {names}", f"install the kernel's modules, then modprobe {missing[0]}"
        )
    else:
        fix = f"try: modprobe {' '.join(missing)}"
        yield warning("modules", f"{names}: not loaded, and /lib/modules does not tell whether they can be", fix)


def check_swap(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if facts.swaps:
        what = f"swap is on ({', '.join(facts.swaps)}): limits of memory do not hold, and etcd may stall"
        yield warning("swap", what, "swapoff -a, and take it out of /etc/fstab")


def check_clock(facts: Facts, settings: Settings) -> Iterator[Finding]:
    """A certificate made now would be signed in the past, and the bundle's are not valid yet."""
    floor = max(facts.built, facts.content.made or facts.built)
    if facts.now < floor:
        what = f"the clock says {facts.now:%Y-%m-%d %H:%M} UTC, which is before {floor:%Y-%m-%d %H:%M}"
        yield fatal("clock", what, "set it (timedatectl set-time), and let all nodes follow one source of time")


def check_name(facts: Facts, settings: Settings) -> Iterator[Finding]:
    name = facts.host_name
    if not _NODE_NAME.fullmatch(name.lower()):
        yield fatal("name", f"{name!r} cannot be a node's name", "hostnamectl set-hostname with a-z, 0-9, '-' and '.'")
    elif name.startswith("localhost"):
        yield fatal("name", f"{name!r} would be every node's name", "hostnamectl set-hostname with a name of its own")
    elif not facts.name_known:
        yield warning("name", f"the machine does not know its own name {name}", f"add '127.0.1.1 {name}' to /etc/hosts")


def check_software(facts: Facts, settings: Settings) -> Iterator[Finding]:
    for name in sorted(facts.software.intersection(_OTHER_CLUSTERS)):
        yield fatal("software", f"{name} is on this machine", f"remove {name} first: both want the same ports")
    if "kubelet" in facts.processes and "k0s" not in facts.processes:
        yield fatal("software", "a kubelet runs that is not k0s'", "stop it, and disable its service")
    for name in sorted(facts.software.intersection(_OTHER_RUNTIMES)):
        yield note("software", f"{name} runs here; k0s brings a containerd of its own, and does not mind")
    if "k0s" in facts.software:
        yield note("software", "k0s is installed here already: an installation goes on from there")


def check_security(facts: Facts, settings: Settings) -> Iterator[Finding]:
    if facts.selinux == "enforcing":
        fix = "install container-selinux, and label /var/lib/k0s as the k0s documentation says"
        yield warning("selinux", "SELinux is enforcing, and has no rules for k0s' own containerd", fix)
    if facts.apparmor:
        yield note("apparmor", "AppArmor is on; its default profiles let k0s work")
