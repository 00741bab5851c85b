"""What tells a bundle from all others without reading all of it: a copied one is known, a changed one is not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import orjson
import xxhash

from loader.config import LoadSettings
from loader.source import Source
from loader.stream import unreadable
from loader.survey import Survey
from registry.text import spelled

_PIECES: Final = 64
_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the file system says of a bundle's files; it changes when one of them is written to."""

    path: str
    inode: int
    modified: str
    changed: str

    @classmethod
    def of(cls, source: Source) -> Self:
        modified, changed, inode = xxhash.xxh3_128(), xxhash.xxh3_128(), 0
        for path in source.files:
            facts = path.lstat()
            inode = inode or facts.st_ino
            modified.update(b"%d %d " % (facts.st_size, facts.st_mtime_ns))
            changed.update(b"%d " % facts.st_ctime_ns)
        return cls(spelled(source.path.resolve()), inode, modified.hexdigest(), changed.hexdigest())

    def allows(self, earlier: Self) -> bool:
        """Whether the files may be those of the earlier stamp, or copies of them.

        The same place must not have been touched since. A file that was moved keeps its inode and
        its time; a copy has neither.
        """
        if self.path == earlier.path:
            return self == earlier or (self.modified, self.changed) == (earlier.modified, earlier.changed)
        return self.inode != earlier.inode or self.modified == earlier.modified


@dataclass(frozen=True, slots=True)
class Identity:
    """A bundle's content and what was asked of it, as a key; and where that content lies now."""

    key: str
    stamp: Stamp


def identify(source: Source, settings: LoadSettings, survey: Survey | None) -> Identity | None:
    """Of a pipe there is none.

    The end of a gzip file is the checksum of what it holds. A plain tar and a directory have none,
    so there the names inside of the archives are taken in, which are digests.

    Raises:
        BundleInvalid: the bundle cannot be read.
    """
    if source.is_piped:
        return None
    content = xxhash.xxh3_128(orjson.dumps([settings.selection.to_json(), settings.strip_components, source.size]))
    if survey is not None:
        content.update(survey.checksum)
    for piece in _samples(source):
        content.update(piece)
    try:
        return Identity(content.hexdigest(), Stamp.of(source))
    except OSError as error:
        raise unreadable(source.path, error) from error


def _samples(source: Source) -> Iterator[bytes]:
    """The beginning of the file, its end, and pieces spread over it."""
    last = max(0, (source.size or 0) - _PIECE)
    return (source.sample(last * number // _PIECES, _PIECE) for number in range(_PIECES + 1))
