"""What the runtime is made of: names, versions and licences, for the SBOM and for those who ask."""

import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from installer.packaging.locks import ROOT, Deb, Pin

# Only run while building, or there for the texts of licences alone.
_NOT_SHIPPED = frozenset({"base-files", "gcc-12-base", "patchelf"})
_LICENCE_NAMES = ("licen[cs]e*", "copying*", "notice*", "authors*")
# What the shipped packages of Debian have their files under; their copyright files tell it in full.
_DEB_LICENCES = {
    "libbz2-1.0": "bzip2-1.0.6",
    "libc6": "LGPL-2.1-or-later",
    "libexpat1": "MIT",
    "libffi8": "MIT",
    "libgcc-s1": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "liblzma5": "0BSD",
    "libpython3.11-minimal": "Python-2.0.1",
    "libpython3.11-stdlib": "Python-2.0.1",
    "libssl3": "Apache-2.0",
    "libzstd-dev": "BSD-3-Clause",
    "python3.11-minimal": "Python-2.0.1",
    "zlib1g": "Zlib",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A component, as CycloneDX calls it."""

    name: str
    version: str
    purl: str
    licence: str | None
    sha256: str | None

    def document(self) -> dict[str, object]:
        """As CycloneDX 1.5 has it."""
        fields: dict[str, object] = {
            "type": "library",
            "name": self.name,
            "version": self.version,
            "purl": self.purl,
            "bom-ref": self.purl,
        }
        if self.licence:
            fields["licenses"] = [{"expression": self.licence}]
        if self.sha256:
            fields["hashes"] = [{"alg": "SHA-256", "content": self.sha256}]
        return fields


def deb_parts(debs: Sequence[Deb]) -> Iterator[Part]:
    """Those of Debian."""
    for deb in debs:
        if deb.name not in _NOT_SHIPPED:
            purl = f"pkg:deb/debian/{deb.name}@{deb.version}?arch={deb.architecture}&distro=debian-12"
            yield Part(deb.name, deb.version, purl, _DEB_LICENCES.get(deb.name), deb.sha256)


def wheel_parts(pins: Sequence[Pin], wheels: Sequence[Path]) -> Iterator[Part]:
    """Those of the Python package index."""
    for pin, wheel in zip(pins, wheels, strict=True):
        yield Part(pin.name, pin.version, f"pkg:pypi/{pin.name}@{pin.version}", _licence(wheel), None)


def k0s_part(version: str, sha256: str) -> Part:
    """k0s itself."""
    return Part("k0s", version, f"pkg:github/k0sproject/k0s@{version}", "Apache-2.0", sha256)


def sbom(name: str, version: str, timestamp: str, parts: Sequence[Part]) -> Mapping[str, object]:
    """CycloneDX 1.5, in JSON."""
    root = {"type": "application", "name": name, "version": version, "licenses": [{"expression": "Apache-2.0"}]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": timestamp, "component": root},
        "components": [part.document() for part in parts],
    }


def copy_licences(target: Path, unpacked: Path, debs: Sequence[Deb], wheels: Sequence[Path]) -> None:
    """The texts that must go along, a folder for each component."""
    target.mkdir(parents=True)
    shutil.copyfile(ROOT / "LICENSE", target / "k0rdentd")
    for deb in debs:
        copyright_file = unpacked / "usr/share/doc" / deb.name / "copyright"
        if deb.name not in _NOT_SHIPPED and copyright_file.exists():
            shutil.copyfile(copyright_file, target / deb.name)
    for name in ("Apache-2.0", "Artistic", "BSD", "GPL-2", "GPL-3", "LGPL-2", "LGPL-2.1", "LGPL-3"):
        shutil.copyfile(unpacked / "usr/share/common-licenses" / name, target / f"common-{name}")
    for wheel in wheels:
        _copy_wheel_licences(wheel, target)


def _copy_wheel_licences(wheel: Path, target: Path) -> None:
    name = wheel.name.split("-")[0]
    with zipfile.ZipFile(wheel) as file:
        for entry in sorted(file.namelist()):
            path = Path(entry)
            if ".dist-info/" in entry and entry[-1] != "/" and any(path.match(pattern) for pattern in _spellings()):
                (target / f"{name}-{path.name}").write_bytes(file.read(entry))


def _spellings() -> Iterator[str]:
    for name in _LICENCE_NAMES:
        yield from (name, name.upper(), name.capitalize())


def _licence(wheel: Path) -> str | None:
    with zipfile.ZipFile(wheel) as file:
        entry = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        fields = HeaderParser().parsestr(file.read(entry).decode())
    return fields["License-Expression"] or _short(fields["License"])


def _short(text: str | None) -> str | None:
    """Older metadata may hold a name, or a whole text."""
    return text if text and len(text) < 40 else None
