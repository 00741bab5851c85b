"""Folders that programs take for the whole machine, without a network."""

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.clients import program
from tests.faults.processes import children

BINARY = "/usr/local/bin/k0rdentd"
RUNTIMES = "/var/lib/k0rdentd/runtime"
_DEVICES = {"null": (1, 3), "zero": (1, 5), "urandom": (1, 9), "random": (1, 8)}
_PROC = 'mount -t proc proc "$0/proc"'
_IN_ROOT = 'ip link set lo up; exec chroot --userspec="$1" "$0" "${@:2}"'
_SERVICE = "[Service]\nExecStart=/root/script\n"
_SCRIPT = """\
#!/bin/bash
exec >/root/output 2>/root/errors
trap 'systemctl poweroff' EXIT
"""
_CACHE = Path("/var/cache/k0rdentd-tests")


@dataclass(frozen=True)
class Root:
    """One of them."""

    path: Path

    @classmethod
    def of_busybox(cls, path: Path) -> "Root":
        """With a static busybox, and nothing else."""
        for name in (
            "bin",
            "dev/shm",
            "etc",
            "home/user",
            "proc",
            "root",
            "tmp",
            "usr/local/bin",
            "var/lib",
            "var/tmp",
        ):
            (path / name).mkdir(parents=True)
        shutil.copy(program("busybox"), path / "bin/busybox")
        for name in ("sh", "ip", "mount", "sleep", "cat"):
            (path / "bin" / name).symlink_to("busybox")
        (path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        (path / "etc/hosts").write_text("127.0.0.1 localhost\n")
        os.chown(path / "home/user", 1000, 1000)
        (path / "tmp").chmod(0o1777)
        (path / "var/tmp").chmod(0o1777)
        root = cls(path)
        root.add_devices()
        return root

    @classmethod
    def of_debian(cls, path: Path) -> "Root":
        """Debian's smallest, in which there is no Python; made once, and kept in /var/cache."""
        root = cls._copied(path, "bookworm-minbase")
        root.add_devices()
        return root

    @classmethod
    def of_systemd(cls, path: Path) -> "Root":
        """The same with systemd, which `boot` starts."""
        return cls._copied(path, "bookworm-systemd", "systemd", "systemd-sysv", "dbus", "curl")

    @classmethod
    def _copied(cls, path: Path, name: str, *packages: str) -> "Root":
        kept = _CACHE / name
        if not kept.exists():
            partial = kept.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.parent.mkdir(exist_ok=True)
            options = ("--variant=minbase", f"--include={','.join(packages)}")
            subprocess.run(["debootstrap", *options, "bookworm", str(partial)], check=True)
            partial.rename(kept)
        subprocess.run(["cp", "-a", str(kept), str(path)], check=True)
        root = cls(path)
        assert not list(root.inside("/usr/bin").glob("python*"))
        return root

    def boot(self, script: str) -> str:
        """Start systemd as process 1, have it run a script once all is up, and power off; what the script printed."""
        (self.path / "root/script").write_text(_SCRIPT + script)
        (self.path / "root/script").chmod(0o755)
        (self.path / "etc/systemd/system/script.service").write_text(_SERVICE)
        wanted = self.path / "etc/systemd/system/multi-user.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / "script.service").symlink_to("../script.service")
        options = ("--register=no", "--keep-unit", "--private-network", "--console=passive")
        subprocess.run(
            ["systemd-nspawn", *options, "-D", str(self.path), "-b"], capture_output=True, timeout=300, check=True
        )
        return (self.path / "root/output").read_text()

    def add_devices(self) -> None:
        for name, (major, minor) in _DEVICES.items():
            if not (self.path / "dev" / name).exists():
                os.mknod(self.path / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
                (self.path / "dev" / name).chmod(0o666)

    def put(self, executable: Path, target: str = BINARY) -> None:
        """As an upgrade does it: the old file lives on for those who run it."""
        new = self.inside(target).with_suffix(".new")
        new.unlink(missing_ok=True)
        os.link(executable, new)
        new.rename(self.inside(target))

    def inside(self, path: str) -> Path:
        return self.path / path.lstrip("/")

    @property
    def runtimes(self) -> list[str]:
        """What is where runtimes are unpacked."""
        folder = self.inside(RUNTIMES)
        return sorted(each.name for each in folder.iterdir()) if folder.exists() else []

    def command(self, *words: str, user: str = "0:0", before: str = _PROC) -> list[str]:
        """With a network and mounts of its own; the words run as the very process that this starts."""
        script = f"{before}; {_IN_ROOT}"
        return ["unshare", "--net", "--mount", "bash", "-c", script, str(self.path), user, *words]

    def run(
        self, *words: str, user: str = "0:0", before: str = _PROC, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            self.command(*words, user=user, before=before),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def running(
        self, *words: str, log: Path, environment: dict[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program that is told to stop at the end."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*words),
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(40)
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)


def outside(pid: int, *words: str) -> str:
    """What a program of this machine prints, in the network of that process."""
    command = ["nsenter", "--target", str(pid), "--net", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    return [pid, *(each for child in sorted(children(pid)) for each in family(child))]


def mapped(pid: int) -> set[str]:
    """The files that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6 and fields[5].startswith("/")}
