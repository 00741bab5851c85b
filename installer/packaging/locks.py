"""What goes into the runtime, each with its version and hashes: requirements.lock and runtime.lock."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from installer.packaging.errors import BuildFailed

ROOT = Path(__file__).parents[2]

_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)((?:\n    # .*)*)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# Of what our dependencies ask for, what this product never imports: a test imports all of ours without it.
_UNUSED = frozenset({"markdown-it-py", "mdurl", "pycparser", "pygments"})


@dataclass(frozen=True, slots=True)
class Pin:
    """A distribution of the Python package index."""

    name: str
    version: str
    text: str
    """As it stands in the lock file, hashes and all."""
    wanted_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Deb:
    """A package of Debian."""

    architecture: str
    name: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """A line of runtime.lock."""
        architecture, name, version, sha256 = line.split()
        return cls(architecture, name, version, sha256)

    @property
    def file_name(self) -> str:
        """What apt calls the file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def runtime_pins() -> list[Pin]:
    """The pins of requirements.lock that the product runs with, and none that only developers need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {_normal(match[0]) for match in map(_NAME.match, project["dependencies"]) if match}
    pins = {pin.name: pin for pin in _pins((ROOT / "requirements.lock").read_text())}
    while more := {name for name, pin in pins.items() if name not in found and pin.wanted_by & found - _UNUSED}:
        found |= more
    missing = found - pins.keys()
    if missing:
        raise BuildFailed(f"requirements.lock lacks {', '.join(sorted(missing))}: make lock")
    return [pins[name] for name in sorted(found - _UNUSED)]


def debs(architecture: str) -> list[Deb]:
    """The packages of Debian for an architecture, `amd64` or `arm64`.

    Raises:
        BuildFailed: none are locked for it.
    """
    lines = (Path(__file__).parent / "runtime.lock").read_text().splitlines()
    found = [Deb.parse(line) for line in lines if line and not line.startswith("#")]
    chosen = [deb for deb in found if deb.architecture == architecture]
    if not chosen:
        raise BuildFailed(f"runtime.lock has nothing for {architecture}: see installer/packaging/README.md")
    return chosen


def _pins(text: str) -> list[Pin]:
    return [
        Pin(
            _normal(match[1]),
            match[2],
            re.sub(r"\n    #.*", "", match[0]),
            frozenset(map(_normal, re.findall(r"# +(?:via )?([A-Za-z0-9_.-]+)", match[4]))),
        )
        for match in _PIN.finditer(text)
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
