"""A user of the registry, and the htpasswd file that names her."""

from dataclasses import dataclass
from pathlib import Path

import bcrypt


@dataclass(frozen=True)
class User:
    """Who pushes."""

    name: str = "alice"
    password: str = "correct horse: battery"  # a colon, and a space: the password is all after the first colon

    @property
    def credentials(self) -> str:
        """As clients take them on their command line."""
        return f"{self.name}:{self.password}"

    @property
    def htpasswd(self) -> str:
        """The user's line, of the cheapest hash."""
        return f"{self.name}:{bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(4)).decode()}\n"


ALICE = User()


def write_htpasswd(folder: Path) -> Path:
    """A file of one user."""
    path = folder / "htpasswd"
    path.write_text(ALICE.htpasswd)
    return path
