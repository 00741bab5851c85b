"""A machine laid out on a real disk, which has all that a node needs; tests take something away."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from installer.preflight.facts import Content, Facts, Machine, gather

NOW = datetime.now(UTC) + timedelta(days=1)

_V2 = "fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
_FILES = {
    "proc/cpuinfo": f"processor\t: 0\nflags\t\t: {_V2}\n\nprocessor\t: 1\nflags\t\t: {_V2}\n",
    "proc/meminfo": "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
    "proc/swaps": "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n",
    "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\n",
    "proc/modules": "overlay 1 0 - Live 0x0\n",
    "proc/filesystems": "nodev\tproc\n\text4\n",
    "proc/sys/kernel/osrelease": "6.1.0-13-amd64\n",
    "lib/modules/6.1.0-13-amd64/modules.builtin": "kernel/net/netfilter/nf_conntrack.ko\n",
    "lib/modules/6.1.0-13-amd64/modules.dep": (
        "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\nkernel/drivers/net/vxlan/vxlan.ko.xz:\n"
    ),
    "proc/net/route": (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    ),
    "proc/net/ipv6_route": "",
    "proc/net/tcp": "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 node-1 # me\n",
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma\n",
    "run/systemd/system/.keep": "",
}


def lay_out(root: Path) -> Path:
    """The files of a good machine."""
    for path, text in _FILES.items():
        write(root, path, text)
    return root


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def remove(root: Path, path: str) -> None:
    if (root / path).is_dir():
        shutil.rmtree(root / path)
    else:
        (root / path).unlink()


def listen(root: Path, port: int, inode: int, name: str, command: str = "") -> None:
    """A process that listens on 0.0.0.0."""
    with (root / "proc/net/tcp").open("a") as table:
        table.write(f" 0: 00000000:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n")
    process = f"proc/{inode}"
    write(root, f"{process}/comm", f"{name}\n")
    write(root, f"{process}/cmdline", (command or name).replace(" ", "\0"))
    (root / process / "fd").mkdir()
    (root / process / "fd" / "3").symlink_to(f"socket:[{inode}]")


def facts(root: Path, content: Content | None = None, **others: object) -> Facts:
    said = {
        "user": 0,
        "architecture": "x86_64",
        "host_name": "node-1",
        "now": NOW,
        "environment": {},
        **others,
    }
    return gather(Machine(root, **said), [Path("/var/lib/k0s"), Path("/srv/store")], content or Content())  # type: ignore[arg-type]
