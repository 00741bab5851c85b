"""Bearer tokens: short-lived proofs of who asked, signed with a key that all workers share.

Clients that ping `/v2/` once and then use what they were challenged with (docker, skopeo) can thus
pull without and push with credentials from the same registry, which Basic alone does not allow.
"""

import base64
import hashlib
import hmac
import os
import time
from contextlib import suppress
from pathlib import Path

import orjson

from registry.storage.errors import disk_errors

SECONDS = 300
_KEY_SIZE = 32


class Tokens:
    """Makes tokens and reads them back."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, user: str | None) -> str:
        """A token for a user, or for somebody unknown."""
        claims = orjson.dumps({"user": user, "until": int(time.time()) + SECONDS})
        return f"{_encode(claims)}.{_encode(self._sign(claims))}"

    def read(self, token: str) -> tuple[bool, str | None]:
        """Whether the token is ours and still good, and whose it is."""
        claims_text, _, signature = token.partition(".")
        try:
            claims = _decode(claims_text)
            if not hmac.compare_digest(self._sign(claims), _decode(signature)):
                return False, None
            fields = orjson.loads(claims)
        except ValueError:
            return False, None
        return fields["until"] > time.time(), fields["user"]

    def _sign(self, claims: bytes) -> bytes:
        return hmac.digest(self._key, claims, hashlib.sha256)


def open_key(path: Path) -> bytes:
    """The key at `path`, made first where there is none; for its owner's eyes alone.

    Raises:
        StorageUnusable: it cannot be read or made.
    """
    with disk_errors(path):
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            _make_key(path)
            key = path.read_bytes()
    _clean(path)
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o755, exist_ok=True)  # the CA's certificate beside it is for everybody
    fresh = path.with_name(f".{path.name}.{os.getpid()}.partial")
    fresh.unlink(missing_ok=True)  # of a process of that number that was killed
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(_KEY_SIZE))
        os.fsync(descriptor)
        with suppress(FileExistsError):  # the first of several workers wins
            os.link(fresh, path)
    except FileNotFoundError:  # so it did, and cleaned up
        pass
    finally:
        os.close(descriptor)
        fresh.unlink(missing_ok=True)


def _clean(path: Path) -> None:
    """What processes that were killed left; who is still at it finds the key that is there now."""
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        with suppress(OSError):
            partial.unlink()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
