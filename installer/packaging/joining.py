"""Launcher, runtime, k0s, metadata and footer into one file."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from installer.executable import FOOTER_SIZE, Footer, Section

_PAGE = 4096
_CHUNK = 1024 * 1024
_NOTHING = hashlib.sha256().hexdigest()


def join(
    target: Path, launcher: Path, runtime: Path, unpacked: int, metadata: Mapping[str, object], k0s: Path | None
) -> Footer:
    """Write the executable; it appears whole."""
    partial = target.with_name(f"{target.name}.partial")
    with partial.open("wb") as file:
        first = _append(file, launcher)
        second = _append(file, runtime)
        third = _append(file, k0s) if k0s else Section(0, 0, _NOTHING)
        text = json.dumps(metadata, indent=1, sort_keys=True).encode() + b"\n"
        fourth = Section(file.tell(), len(text), hashlib.sha256(text).hexdigest())
        file.write(text)
        footer = Footer(file.tell() + FOOTER_SIZE, unpacked, second, third, fourth, first)
        file.write(footer.render())
        file.flush()
        os.fsync(file.fileno())
    partial.chmod(0o755)
    partial.rename(target)
    return footer


def _append(file: BinaryIO, source: Path) -> Section:
    """At the start of a page, as copy_file_range and reflinks like it."""
    file.write(bytes(-file.tell() % _PAGE))
    offset, found = file.tell(), hashlib.sha256()
    with source.open("rb") as other:
        while piece := other.read(_CHUNK):
            found.update(piece)
            file.write(piece)
    return Section(offset, file.tell() - offset, found.hexdigest())
