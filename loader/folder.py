"""A bundle that was unpacked into a directory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from loader.errors import MemberInvalid
from loader.member import Member, Root
from loader.naming import is_archive
from loader.rawfile import BundleFile
from loader.stream import EMPTY, FileStream, Window, unreadable


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory whose archives are the members of a bundle."""

    path: Path
    root: Root

    def archives(self) -> list[Path]:
        """Sorted, those first without which nothing starts."""
        found = [path for path in files_in(self.path) if is_archive(path.name)]
        return sorted(found, key=lambda path: self.root.rank(path.relative_to(self.path).as_posix()))

    def members(self) -> Iterator[Member]:
        """Each is open until the next one is asked for."""
        for path in self.archives():
            name = path.relative_to(self.path).as_posix()
            if path.is_symlink() or not path.is_file():  # a link in an unpacked bundle may lead anywhere
                yield self.root.member(name, EMPTY, MemberInvalid("it is a link or a special file"))
                continue
            try:
                file = BundleFile((path,))
            except OSError as error:
                yield self.root.member(name, EMPTY, MemberInvalid(f"cannot open it: {error.strerror}"))
                continue
            try:
                content = Window(FileStream(path, file), file.size, MemberInvalid("the file shrank while it was read"))
                yield self.root.member(name, content, None)
            finally:
                file.close()


def files_in(folder: Path) -> Iterator[Path]:
    """All below it, in a fixed order; links are not followed.

    Raises:
        BundleInvalid: a folder cannot be listed: what is in it would be missed in silence.
    """
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def _refuse(error: OSError) -> NoReturn:
    raise unreadable(Path(error.filename), error) from error
