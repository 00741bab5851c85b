"""Where certificates come from: the registry's own CA, or the operator's files."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a server proves itself with, and the CA that vouches for it, if it is known."""

    certificate: Path
    key: Path
    expires: datetime
    ca: x509.Certificate | None


class Source(Protocol):
    """Files on disk, and what keeps them good."""

    @property
    def files(self) -> tuple[Path, ...]:
        """A change of any of them changes the credentials."""

    @property
    def ca_file(self) -> Path | None:
        """The CA that clients must be given, where it is a file of its own."""

    def establish(self, now: datetime) -> None:
        """At start: make what is missing."""

    def renew(self, now: datetime) -> None:
        """Now and then: replace what runs out."""

    def credentials(self, now: datetime) -> Credentials:
        """What to serve with, checked."""
