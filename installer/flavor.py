"""Which k0rdentd this is: online, or airgap, which brings k0s along. The executable's metadata says it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from installer.executable import Executable, Section
from registry.program import executable

K0S_BINARY = "K0RDENTD_K0S_BINARY"
K0S_VERSION = "K0RDENTD_K0S_VERSION"
"""What stands for the k0s of the executable where k0rdentd was installed otherwise, as in a checkout."""

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Flavor:
    """What this k0rdentd is. Without an executable: online, of no known time and commit."""

    is_airgap: bool = False
    version: str | None = None
    """Of k0rdentd; None without an executable, for the package's own metadata tell it."""
    k0s_version: str | None = None
    build_time: str | None = None
    commit: str | None = None

    @property
    def name(self) -> str:
        """`online` or `airgap`."""
        return "airgap" if self.is_airgap else "online"

    @classmethod
    def current(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """That of the program which asks.

        Raises:
            ExecutableDamaged: it cannot be read any more.
        """
        path = executable()
        if path is None:
            return cls(is_airgap=K0S_BINARY in environment, k0s_version=environment.get(K0S_VERSION))
        facts = Executable.open(path).metadata()
        text = {name: str(value) for name, value in facts.items() if value is not None}
        airgap = text.get("flavor") == "airgap"
        return cls(airgap, text.get("version"), text.get("k0sVersion"), text.get("buildTime"), text.get("commit"))


@dataclass(frozen=True, slots=True)
class EmbeddedK0s:
    """The k0s that came along: a part of the executable, or a file of its own."""

    source: Executable | Path
    version: str | None

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """That of the program which asks; None in the online flavor.

        Raises:
            ExecutableDamaged: the executable cannot be read any more.
        """
        path = executable()
        version = Flavor.current(environment).k0s_version
        if path is not None:
            found = Executable.open(path)
            return cls(found, version) if found.footer.k0s.size else None
        return cls(Path(environment[K0S_BINARY]), version) if K0S_BINARY in environment else None

    @property
    def section(self) -> Section | None:
        """Where in the executable it is, and its SHA-256; None for a file of its own."""
        return self.source.footer.k0s if isinstance(self.source, Executable) else None

    def describe(self) -> str:
        """For a plan."""
        version = self.version or "of unknown version"
        if isinstance(self.source, Executable):
            return f"k0s {version} inside {self.source.path}, SHA-256 {self.source.footer.k0s.sha256[:12]}"
        return f"k0s {version} at {self.source}"

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, checked when the last one was read.

        Raises:
            ExecutableDamaged: its bytes are not those that were built in.
            OSError: a file of its own cannot be read.
        """
        if isinstance(self.source, Executable):
            yield from self.source.read("k0s", self.source.footer.k0s)
            return
        with self.source.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece
