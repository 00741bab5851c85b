"""The executable that k0rdentd is shipped as: launcher, runtime, k0s and metadata in one file, told by a footer.

    [launcher][runtime: tar, zstd][k0s, raw, at a page's start][metadata.json][footer]

The footer is text, the last 512 bytes (`tail -c 512 k0rdentd`). installer/packaging writes such files.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from registry.oci.errors import Failure

FOOTER_SIZE = 512

_TITLE = "k0rdentd executable, format 1"
_CHUNK = 1024 * 1024
_METADATA_LIMIT = 1024 * 1024


class ExecutableDamaged(Failure):
    """The executable is not as it was built."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the file."""

    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Footer:
    """Where everything is. k0s has no bytes in the online flavor."""

    total: int
    unpacked: int
    """What the runtime takes on a disk."""
    runtime: Section
    k0s: Section
    metadata: Section
    launcher: Section

    @property
    def runtime_id(self) -> str:
        """What the runtime's folder is called."""
        return self.runtime.sha256[:32]

    def render(self) -> bytes:
        """As it stands at the end of the file."""
        lines = [_TITLE, f"total {self.total}", f"unpacked {self.unpacked}"]
        lines += [f"{name} {each.offset} {each.size} {each.sha256}" for name, each in self.sections()]
        text = "\n".join(lines).encode()
        assert len(text) < FOOTER_SIZE
        return text.ljust(FOOTER_SIZE, b"\n")

    def sections(self) -> tuple[tuple[str, Section], ...]:
        """In the order in which the launcher reads them."""
        return ("runtime", self.runtime), ("k0s", self.k0s), ("metadata", self.metadata), ("launcher", self.launcher)

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """What `render` wrote.

        Raises:
            ValueError: it did not.
        """
        title, *lines = text.decode("ascii").rstrip("\n").split("\n")
        words = [line.split(" ") for line in lines]
        if title != _TITLE or [each[0] for each in words] != [
            *("total", "unpacked"),
            *("runtime", "k0s", "metadata", "launcher"),
        ]:
            raise ValueError(title)
        sections = [Section(int(offset), int(size), sha256) for _, offset, size, sha256 in words[2:]]
        return cls(int(words[0][1]), int(words[1][1]), *sections)


@dataclass(frozen=True, slots=True)
class Executable:
    """An executable file; nothing of it is read before it is asked for, the footer apart."""

    path: Path
    footer: Footer

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the footer.

        Raises:
            ExecutableDamaged: there is none, or the file is longer or shorter than it says.
        """
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - FOOTER_SIZE))
                footer = Footer.parse(file.read(FOOTER_SIZE))
        except OSError as error:
            raise ExecutableDamaged(f"cannot read the executable {path}: {error.strerror}") from error
        except ValueError as error:
            raise ExecutableDamaged(f"{path} is no executable of k0rdentd, or not all of one: copy it again") from error
        if footer.total != size:
            raise ExecutableDamaged(f"{path} has {size} bytes, and should have {footer.total}: copy it again")
        return cls(path, footer)

    def metadata(self) -> dict[str, object]:
        """What `metadata.json` tells; `check` is for its hash.

        Raises:
            ExecutableDamaged: it is no such document.
        """
        section = self.footer.metadata
        try:
            with self.path.open("rb") as file:
                file.seek(section.offset)
                document = json.loads(file.read(min(section.size, _METADATA_LIMIT)))
        except (OSError, ValueError) as error:
            raise self._damaged("metadata") from error
        if not isinstance(document, dict):
            raise self._damaged("metadata")
        return document

    def read(self, name: str, section: Section) -> Iterator[bytes]:
        """The bytes of a section.

        Raises:
            ExecutableDamaged: when the last one was read, and they are others than those that were built in.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(section.offset)
                yield from self._pieces(file, name, section)
        except OSError as error:
            raise ExecutableDamaged(f"cannot read {self.path}: {error.strerror}") from error

    def check(self) -> Iterator[str]:
        """The names of all sections that hold anything, each when it was found to be as it was built.

        Raises:
            ExecutableDamaged: one is not.
        """
        for name, section in self.footer.sections():
            for _ in self.read(name, section):
                pass
            if section.size:
                yield name

    def _pieces(self, file: BinaryIO, name: str, section: Section) -> Iterator[bytes]:
        import hashlib  # noqa: PLC0415  # 3 ms and 5 MB of OpenSSL, which `version` does without

        found = hashlib.sha256()
        left = section.size
        while left:
            piece = file.read(min(left, _CHUNK))
            if not piece:
                raise self._damaged(name)
            found.update(piece)
            left -= len(piece)
            yield piece
        if found.hexdigest() != section.sha256:
            raise self._damaged(name)

    def _damaged(self, name: str) -> ExecutableDamaged:
        return ExecutableDamaged(f"{self.path} is damaged, its {name} is not what was built: copy it again")
