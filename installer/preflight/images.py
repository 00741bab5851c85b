"""Names of images, as k0s, charts and pods write them, and where the registry has them."""

import re
from dataclasses import dataclass
from typing import Self

_DOCKER = "docker.io"
_REFERENCE = re.compile(
    r"(?:(?P<host>[a-zA-Z0-9.-]+\.[a-zA-Z0-9.-]+(?::\d+)?|localhost(?::\d+)?|[a-zA-Z0-9-]+:\d+)/)?"
    r"(?P<path>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha(?:256|512):[0-9a-f]+))?"
)
# The vendor's charts name images below this; its bundles have them at the top.
_VENDOR = "k0rdent-enterprise/"


@dataclass(frozen=True, slots=True, order=True)
class ImageName:
    """An image at its upstream: `docker.io`, `library/busybox`, `1.36`."""

    host: str
    path: str
    reference: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """As a container runtime reads it, except that one without tag and digest is none: nobody meant it."""
        match = _REFERENCE.fullmatch(text.strip())
        if match is None or not (match["tag"] or match["digest"]):
            return None
        host, path = match["host"] or _DOCKER, match["path"]
        official = host == _DOCKER and "/" not in path
        return cls(host, f"library/{path}" if official else path, match["digest"] or match["tag"])

    @property
    def places(self) -> tuple[str, ...]:
        """Repositories of our registry that may have it, as `ns=` requests and our chart values lead there."""
        short = self.path.removeprefix("library/") if self.host == _DOCKER else self.path.removeprefix(_VENDOR)
        return (self.path,) if short == self.path else (self.path, short)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}{'@' if ':' in self.reference else ':'}{self.reference}"
