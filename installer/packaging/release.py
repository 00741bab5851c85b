"""What goes along with the executables of a release: the operator's guide, and the sums of all of it."""

import hashlib
import html
from pathlib import Path

from installer.packaging.build import Runtime


def write_guide(runtime: Runtime, name: str, target: Path) -> None:
    """One page, for who has nothing but this folder."""
    text = (Path(__file__).parent / "guide.html").read_text()
    words = {
        "name": name,
        "version": runtime.facts["version"],
        "architecture": runtime.facts["architecture"],
        "commit": runtime.facts["commit"],
        "time": runtime.facts["buildTime"],
        "unpacked": str(runtime.unpacked // 1_000_000 + 1),
    }
    for key, word in words.items():
        text = text.replace(f"@{key}@", html.escape(word))
    target.write_text(text)


def write_sums(folder: Path) -> None:
    """Of every file in the folder, for `sha256sum -c SHA256SUMS`."""
    target = folder / "SHA256SUMS"
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path != target)
    lines = []
    for path in found:
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder)}\n")
    target.write_text("".join(lines))
