"""The runtime that the executable unpacked, against the list of its files that was packed with it."""

import hashlib
from pathlib import Path

from installer.executable import ExecutableDamaged

CHECKSUMS = "share/SHA256SUMS"
"""As sha256sum reads it, but for `bin/python3`: the launcher writes the loader's path into that."""
LOADER_ROOM = b"/".ljust(1023, b"x") + b"\0"
"""What is there before."""

_PYTHON = "bin/python3"


def check_runtime(folder: Path) -> int:
    """How many files there are, all of them as they were built.

    Raises:
        ExecutableDamaged: one is not, is missing, or was added.
    """
    lines = (folder / CHECKSUMS).read_text().splitlines()
    expected = {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {CHECKSUMS}
    for name in sorted(found | expected.keys()):
        if name not in found or _sha256(folder, name) != expected.get(name):
            raise ExecutableDamaged(f"{folder / name} is not as it was unpacked: remove {folder} and start again")
    return len(found)


def _sha256(folder: Path, name: str) -> str:
    content = (folder / name).read_bytes()
    if name == _PYTHON:
        loader = f"{folder}/lib/ld.so".encode().ljust(len(LOADER_ROOM), b"\0")
        content = content.replace(loader, LOADER_ROOM, 1)
    return hashlib.sha256(content).hexdigest()
