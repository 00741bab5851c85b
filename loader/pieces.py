"""A bundle in pieces, as `split` makes them for media that are too small: which files belong to it."""

import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loader.errors import BundleInvalid, BundleMissing
from loader.naming import BUNDLE_SUFFIXES
from loader.rawfile import GZIP_MAGIC, ZSTD_MAGIC

_ENDS = "|".join(map(re.escape, BUNDLE_SUFFIXES))
_PIECE = re.compile(rf"(?P<base>.+(?:{_ENDS}))(?P<mark>[.-](?:part[._-]?)?)(?P<count>\d{{1,5}}|[a-z]{{2,5}})")
_LISTED = 5
_BLOCK, _USTAR = 512, 257


@dataclass(frozen=True, slots=True)
class _Name:
    """`bundle.tar.gz.part-01` taken apart."""

    base: str
    mark: str
    count: str

    @classmethod
    def parse(cls, name: str) -> Self | None:
        found = None if name.endswith(BUNDLE_SUFFIXES) else _PIECE.fullmatch(name)
        return None if found is None else cls(found["base"], found["mark"], found["count"])

    @property
    def series(self) -> tuple[str, int, bool]:
        """What the pieces of one bundle have in common."""
        return self.mark, len(self.count), self.count.isdigit()

    @property
    def number(self) -> int:
        if self.count.isdigit():
            return int(self.count)
        letters = string.ascii_lowercase
        return sum(letters.index(each) * 26**power for power, each in enumerate(reversed(self.count)))

    def at(self, number: int) -> str:
        """The name of another piece of the series."""
        if self.count.isdigit():
            return f"{self.base}{self.mark}{number:0{len(self.count)}}"
        letters = ""
        for _ in self.count:
            number, letter = divmod(number, 26)
            letters = string.ascii_lowercase[letter] + letters
        return f"{self.base}{self.mark}{letters}"


def whole_name(path: Path) -> str:
    """What the bundle is called, whose first piece this may be."""
    name = _Name.parse(path.name)
    return path.name if name is None else name.base


def find_pieces(path: Path) -> tuple[Path, ...]:
    """All pieces of a bundle, named by its first piece or by what stands before their numbers; none if it is whole.

    Raises:
        BundleMissing: a piece is not there.
        BundleInvalid: the name is not the first piece's, or pieces do not belong together.
    """
    named = _Name.parse(path.name)
    if (named is None and path.exists()) or not path.parent.is_dir():
        return ()
    names = _beside(path, path.name if named is None else named.base)
    found = sorted((name for name in names if named is None or name.series == named.series), key=lambda n: n.number)
    if not found:
        return ()
    if len({name.series for name in names}) > 1:
        kinds = ", ".join(sorted({f"{name.mark}{name.count}" for name in names})[:_LISTED])
        raise BundleInvalid(f"pieces of different kinds lie beside {path}: {kinds}; leave only those of one kind there")
    _require_all(path, named, found)
    pieces = tuple(path.with_name(name.at(name.number)) for name in found)
    _require_sizes(pieces)
    return pieces


def _beside(path: Path, base: str) -> list[_Name]:
    """Pieces of a bundle in the folder of `path`; letters count from aa on, which tells them from a .sig or .asc."""
    names = [name for name in map(_Name.parse, os.listdir(path.parent)) if name is not None and name.base == base]
    series = {name.series for name in names if name.count.isdigit() or name.number <= 1}
    return [name for name in names if name.series in series]


def _require_all(path: Path, named: _Name | None, found: Sequence[_Name]) -> None:
    first = 1 if found[0].count.isdigit() and found[0].number == 1 and _begins(path.with_name(found[0].at(1))) else 0
    have = {name.number for name in found}
    missing = [found[0].at(number) for number in range(first, max(have)) if number not in have]
    if missing:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise BundleMissing(f"of the bundle {path} these pieces are missing: {', '.join(missing[:_LISTED])}{more}")
    if named is not None and named.number != first:
        raise BundleInvalid(f"{path} is a piece in the middle of a bundle: name the first one, {found[0].at(first)}")


def _begins(piece: Path) -> bool:
    """Whether it looks like the beginning of a bundle: `split` counts from 0, or from where it is told to."""
    with piece.open("rb") as file:
        head = file.read(_BLOCK)
    return head.startswith((GZIP_MAGIC, ZSTD_MAGIC)) or head[_USTAR : _USTAR + 5] == b"ustar"


def _require_sizes(pieces: Sequence[Path]) -> None:
    """All but the last one are equally large; the last one is not larger."""
    sizes = [piece.stat().st_size for piece in pieces]
    for piece, size in zip(pieces[:-1], sizes[:-1], strict=True):
        if size != sizes[0]:
            raise BundleInvalid(f"piece {piece} has {size} bytes, and the first one {sizes[0]}: copy it anew")
    if sizes[-1] > sizes[0]:
        raise BundleInvalid(f"piece {pieces[-1]} has {sizes[-1]} bytes, and the first one {sizes[0]}: it is no piece")
