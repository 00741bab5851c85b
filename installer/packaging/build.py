"""A build from the locks to the executables: the same bytes for the same sources, locks and compiler."""

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from installer.packaging.archive import files, pack
from installer.packaging.fetching import fetch_debs, fetch_wheels, run
from installer.packaging.joining import join
from installer.packaging.launching import build_launcher
from installer.packaging.locks import ROOT, debs, runtime_pins
from installer.packaging.parts import Part, copy_licences, deb_parts, k0s_part, sbom, wheel_parts
from installer.packaging.tree import add_own, assemble, compile_all
from installer.runtime import CHECKSUMS

BEST_LEVEL = 19
"""Of zstd: 19 MB in 30 s of one core; level 10 makes 21 MB in a second, level 3 makes 23."""


@dataclass(frozen=True, slots=True)
class K0s:
    """The binary that goes into the airgap flavor."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """What both flavors share."""

    launcher: Path
    archive: Path
    unpacked: int
    licences: Path
    parts: tuple[Part, ...]
    facts: Mapping[str, str]


def build_runtime(work: Path, cache: Path, architecture: str, level: int = BEST_LEVEL) -> Runtime:
    """Make launcher and runtime below `work`, of what is or will be in `cache`.

    Raises:
        BuildFailed: something is missing.
    """
    packages, pins = debs(architecture), runtime_pins()
    fetched = fetch_debs(packages, cache)
    wheels = fetch_wheels(pins, architecture, cache)
    facts = _facts(architecture)
    tree = work / "runtime"
    assemble(tree, fetched, wheels, architecture)
    add_own(tree, facts["version"])
    compile_all(tree)
    copy_licences(tree / "share/licences", work / "debian", packages, wheels)
    parts = (*deb_parts(packages), *wheel_parts(pins, wheels))
    document = sbom("k0rdentd", facts["version"], facts["buildTime"], parts)
    (tree / "share/sbom.cdx.json").write_text(json.dumps(document, indent=1))
    _write_checksums(tree)
    build_launcher(work / "launcher", work / "debian", architecture)
    unpacked = pack(tree, work / "runtime.tar.zst", level)
    return Runtime(work / "launcher", work / "runtime.tar.zst", unpacked, tree / "share/licences", parts, facts)


def build_executable(runtime: Runtime, target: Path, k0s: K0s | None) -> None:
    """Write one flavor to `target`, and its SBOM beside it."""
    flavor = {"flavor": "airgap", "k0sVersion": k0s.version} if k0s else {"flavor": "online"}
    metadata = {**runtime.facts, **flavor}
    footer = join(target, runtime.launcher, runtime.archive, runtime.unpacked, metadata, k0s.path if k0s else None)
    parts = [*runtime.parts, *([k0s_part(k0s.version, footer.k0s.sha256)] if k0s else [])]
    document = sbom(target.name, runtime.facts["version"], runtime.facts["buildTime"], parts)
    target.with_name(f"{target.name}.cdx.json").write_text(json.dumps(document, indent=1) + "\n")


def source_date() -> int:
    """SOURCE_DATE_EPOCH, or when the commit was made: never now, or no two builds would be alike.

    Raises:
        BuildFailed: neither is known.
    """
    said = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(said) if said.isdigit() else int(run(["git", "log", "-1", "--format=%ct"], cwd=ROOT))


def _facts(architecture: str) -> dict[str, str]:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return {
        "name": "k0rdentd",
        "version": version,
        "architecture": architecture,
        "commit": run(["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], cwd=ROOT).strip(),
        "buildTime": datetime.fromtimestamp(source_date(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _write_checksums(tree: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(tree).as_posix()}\n"
        for path in files(tree)
    ]
    (tree / CHECKSUMS).write_text("".join(lines))
