"""What `k0s reset` would take away, where there is no k0s any more that could be asked to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from installer import remains
from installer.changes import Change, Replaced, Run
from installer.errors import CommandFailed, InstallFailed
from installer.host import Host
from installer.k0s import installed_role, is_running
from installer.paths import K0S_RUN, K0S_STATE, K0S_UNITS

# Where k0s and its kubelet mount; a mount elsewhere in its folders is a disk of somebody's.
_MOUNTED = (K0S_STATE / "kubelet", K0S_RUN)
_WANTED = tuple(unit.parent / "multi-user.target.wants" / unit.name for unit in K0S_UNITS)
_CNI = tuple(
    Path("/etc/cni/net.d") / name for name in ("10-kuberouter.conflist", "10-calico.conflist", "calico-kubeconfig")
)
_USERS = Path("/etc/passwd")


@dataclass(frozen=True, slots=True)
class EndProcesses:
    """Have nothing run out of k0s' folders."""

    replaces: tuple[Replaced, ...] = ()

    def describe(self) -> str:
        return f"end what still runs out of {K0S_STATE}: k0s, containerd and containers"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        remains.end(host)
        return ()


@dataclass(frozen=True, slots=True)
class Unmount:
    """Have nothing mounted in a folder."""

    folder: Path
    replaces: tuple[Replaced, ...] = ()

    def describe(self) -> str:
        return f"unmount all that is mounted below {self.folder}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        for point in remains.mounts(host, self.folder):
            try:
                host.call(("umount", "--", str(host.at(point))))
            except CommandFailed as error:
                raise InstallFailed(f"{error}; restart the machine, and run the same command again") from error
        return ()


@dataclass(frozen=True, slots=True)
class RemoveAll:
    """Have no such file, or no such folder with whatever is in it; but what is mounted in it stays."""

    path: Path
    replaces: tuple[Replaced, ...] = ()

    def describe(self) -> str:
        return f"remove {self.path}, which k0s left"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        for each in remains.removable(host, self.path):
            host.remove(each)
        return ()


def take_away(host: Host) -> Iterator[Change]:
    """All that it takes until nothing of k0s is left but its executable and its configuration."""
    role = installed_role(host)
    if role is not None and is_running(host):
        yield Run(("systemctl", "stop", f"k0s{role}"), "k0s ends on this node")
    yield from _files(host, (*_WANTED, *K0S_UNITS))
    if role is not None and host.has("systemctl"):
        yield Run(("systemctl", "daemon-reload"), "systemd forgets k0s")
    if remains.processes(host):  # containers outlive their k0s
        yield EndProcesses()
    yield from (Unmount(folder) for folder in _MOUNTED if remains.mounts(host, folder))
    yield from _files(host, (*(folder for folder in (K0S_STATE, K0S_RUN) if _is_folder(host, folder)), *_CNI))
    for user in _users(host) if host.has("userdel") else ():
        yield Run(("userdel", user), f"k0s made this user: its home is {K0S_STATE}")


def _files(host: Host, paths: Iterable[Path]) -> Iterator[Change]:
    return (RemoveAll(path) for path in paths if next(remains.removable(host, path), None) is not None)


def _is_folder(host: Host, path: Path) -> bool:
    """Whether it is none of somebody's own making, who had k0s work elsewhere."""
    entry = host.look(path)
    return entry is not None and entry.kind == "folder"


def _users(host: Host) -> list[str]:
    """Those whose home is k0s' own folder, which it says of nobody else."""
    lines = [line.split(":") for line in (host.read(_USERS) or b"").decode(errors="replace").splitlines()]
    return [fields[0] for fields in lines if len(fields) > 5 and fields[5] == str(K0S_STATE)]
