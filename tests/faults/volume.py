"""A disk that is small, and can be full."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 4096


@dataclass(frozen=True)
class Volume:
    """A tmpfs; `ballast` is a file that takes the room of others."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def ballast(self) -> Path:
        return self.path / "ballast"

    @property
    def free(self) -> int:
        usage = os.statvfs(self.path)
        return usage.f_bavail * usage.f_frsize

    def mount(self, size: int) -> None:
        self._run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.path)

    def resize(self, size: int) -> None:
        self._run("mount", "-o", f"remount,size={size}", self.path)

    def unmount(self) -> None:
        self._run("umount", "--lazy", self.path)

    def fill(self, *, leaving: int = 0) -> None:
        """Take all room but `leaving` bytes."""
        with self.ballast.open("ab") as file:
            for _ in range(max(0, self.free - leaving) // _BLOCK):
                file.write(bytes(_BLOCK))
                file.flush()

    def _run(self, *command: str | Path) -> None:
        subprocess.run(command, check=True, capture_output=True)
