"""Who we are: a user and a password, from files; never from a command line."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from registry.transfer.errors import LoginInvalid


@dataclass(frozen=True, slots=True)
class Login:
    """A user and the password, which no message shows."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """As Basic authentication sends it."""
        return f"Basic {base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()}"


def read_authfile(path: Path, host: str) -> Login | None:
    """What docker's or podman's file of credentials has for a registry; None where it has nothing.

    Raises:
        LoginInvalid: the file cannot be read, or holds something else.
    """
    try:
        document = json.loads(path.read_bytes())
        entries = document.get("auths") or {}
        entry = entries.get(host) or entries.get(f"https://{host}") or entries.get(f"https://{host}/v2/") or {}
        return _login(entry)
    except OSError as error:
        raise LoginInvalid(f"{path}: {error.strerror}: name a file of credentials with --authfile") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise LoginInvalid(f"{path} is no file of credentials as 'podman login' writes it") from error


def read_password(text: str, source: str) -> str:
    """The password that a file holds; its last line break is not a part of it.

    Raises:
        LoginInvalid: there is none, or more than a line.
    """
    password = text.removesuffix("\n").removesuffix("\r")
    if not password or "\n" in password:
        raise LoginInvalid(f"{source} must hold the password, and nothing else")
    return password


def _login(entry: dict[str, str]) -> Login | None:
    if "auth" in entry:
        user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        return Login(user, password.rstrip("\0"))
    if "username" in entry and "password" in entry:
        return Login(entry["username"], entry["password"])
    return None
