"""Users of an htpasswd file (bcrypt), checked off the hot path and without telling which part was wrong."""

import hashlib
import logging
import os
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import bcrypt

from registry.oci.errors import Failure

_log = logging.getLogger(__name__)

# A cost that bcrypt does not know would be an error at the first login, not at the start.
_ENTRY = re.compile(r"([^:]+):(\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53})")
_REMEMBERED = 1024
_BCRYPT_LIMIT = 72  # bytes; more of a password is not looked at


class PasswordsInvalid(Failure):
    """The htpasswd file cannot be used."""

    exit_code: ClassVar[int] = 2


class Passwords:
    """The users of a file, read again whenever it changes.

    bcrypt takes a quarter of a second on purpose, so who was right once is remembered (by a keyed
    hash, up to 1024 of them) until the file changes.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            PasswordsInvalid: it cannot be read, or a line is not a user with a bcrypt hash.
        """
        self._path = path
        self._lock = threading.Lock()
        self._key = os.urandom(32)
        self._verified: OrderedDict[bytes, None] = OrderedDict()
        self._stamp = self._stamp_now()
        self._users = _read(path)

    def verify(self, user: str, password: str) -> bool:
        """Whether the user exists and this is the password; an unknown user takes as long as a wrong password."""
        self._reread()
        proof = hashlib.blake2b(f"{user}\0{password}".encode(), key=self._key).digest()
        if proof in self._verified:
            return True
        users = self._users
        known = users.get(user)
        right = bcrypt.checkpw(password.encode()[:_BCRYPT_LIMIT], known or _decoy(users))
        if known is None or not right:
            return False
        self._remember(proof, users)
        return True

    def _remember(self, proof: bytes, users: dict[str, bytes]) -> None:
        """Unless the file changed while bcrypt was at work."""
        with self._lock:
            if self._users is users:
                self._verified[proof] = None
            while len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)

    def _reread(self) -> None:
        """A file that is gone or damaged meanwhile, be it for a moment, neither adds nor removes a user."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        with self._lock:
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._users = _read(self._path)
            except PasswordsInvalid as error:
                _log.error("%s: the users known until now go on, and nobody is removed before it is mended", error)
                return
            self._verified.clear()

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            facts = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (facts.st_ino, facts.st_mtime_ns, facts.st_size)


def _read(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise PasswordsInvalid(
            f"cannot read the htpasswd file {path}: {reason}; make it with: htpasswd -B -c {path} USER"
        ) from error
    users = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line.strip())
        if entry is None:
            raise PasswordsInvalid(f"{path} line {number} is not user:bcrypt-hash; make it with: htpasswd -B -n USER")
        users[entry[1]] = entry[2].encode()
    return users


def _decoy(users: dict[str, bytes]) -> bytes:
    """A hash that no password fits, as costly as those of the file."""
    cost = next(iter(users.values()))[4:6] if users else b"10"
    return b"$2b$" + cost + b"$" + b"." * 53
