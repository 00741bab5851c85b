"""A bundle that was unpacked into a directory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from loader.stream import unreadable


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
