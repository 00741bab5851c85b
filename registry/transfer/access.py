"""How to speak to registries: whom to trust, who we are there, how patient to be."""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.transfer.client import RegistryClient
from registry.transfer.errors import LoginInvalid, PlaceInvalid
from registry.transfer.login import Login, read_authfile, read_password
from registry.transfer.patience import Endurance
from registry.transfer.place import Address, is_address
from registry.transfer.transport import Security


@dataclass(frozen=True, slots=True)
class Access:
    """The way to the registries of one run, with so many blobs under way at once."""

    security: Security
    login_for: Callable[[str], Login | None]
    endurance: Endurance
    jobs: int

    def connect(self, address: Address) -> RegistryClient:
        """A client of a registry that answers.

        Raises:
            TransferError: none does, or it must not be spoken to.
        """
        login = self.login_for(address.host)
        return RegistryClient.connect(address, self.security, login, self.endurance, 2 * self.jobs + 4)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we say that we are, and whom we trust."""

    username: str | None = None
    password_file: Path | None = None
    authfile: Path | None = None
    ca_file: Path | None = None
    insecure: bool = False

    def access(self, places: Sequence[str], jobs: int) -> Access:
        """The way to those of `places` that are registries.

        Raises:
            LoginInvalid, PlaceInvalid: what is said does not fit together, or the places.
        """
        login_for = logins(places, self.username, self.password_file, self.authfile)
        return Access(Security(self.ca_file, self.insecure), login_for, Endurance(threading.Event()), jobs)


def logins(
    places: Sequence[str], username: str | None, password_file: Path | None, authfile: Path | None
) -> Callable[[str], Login | None]:
    """Who we are to each registry: one user, or what a file says of each host.

    Raises:
        LoginInvalid, PlaceInvalid: the options do not fit each other, or the places.
    """
    if (username is None) != (password_file is None):
        raise LoginInvalid("--username and --password-file belong together")
    if username is None or password_file is None:
        return lambda host: None if authfile is None else read_authfile(authfile, host)
    registries = [place for place in places if is_address(place)]
    if authfile is not None or len(registries) > 1:
        raise LoginInvalid("--username is for one registry: for two, or with others in it, give --authfile alone")
    if not registries:
        raise PlaceInvalid("--username is for a registry, and none is named")
    login = Login(username, _password(password_file))
    return lambda _: login


def _password(path: Path) -> str:
    if str(path) == "-":
        return read_password(sys.stdin.read(), "standard input")
    try:
        return read_password(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise LoginInvalid(f"{path} cannot be read: name a file that holds the password") from error
