"""A member of a bundle, and what it is called below the bundle's root."""

from contextlib import suppress
from dataclasses import dataclass

from loader.errors import LoaderError, MemberInvalid
from loader.naming import below_root, rank
from loader.stream import Window


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the bundle that should hold an image or a chart; read `content` before the next one."""

    path: str
    content: Window
    fault: MemberInvalid | None = None
    """Why it cannot be one, known without reading it."""
    end: int = 0
    """Where the next entry of the bundle's tar begins."""


@dataclass(frozen=True, slots=True)
class Root:
    """Where a bundle's paths begin: below a folder that is called like it, or so many folders down."""

    stem: str
    strip: int | None

    def member(self, name: str, content: Window, fault: MemberInvalid | None, end: int = 0) -> Member:
        """The member of this name; a name that has nothing below the root is its fault."""
        try:
            return Member(below_root(name, self.stem, self.strip), content, fault, end)
        except MemberInvalid as error:
            return Member(name, content, error, end)

    def rank(self, name: str) -> int:
        """Where in the order it comes, if that is free: first without which nothing starts."""
        with suppress(LoaderError):
            return rank(below_root(name, self.stem, self.strip))
        return rank(name)
