"""Who may pull and who may push; the challenge that makes a client come back with credentials."""

import base64
import enum
import re
from dataclasses import dataclass

import falcon
import orjson

from registry.api.passwords import Passwords
from registry.api.tokens import SECONDS, Tokens
from registry.oci.errors import Denied, SwitchedOff, Unauthorized

_REPOSITORY = re.compile(r"/v2/([a-z0-9._/-]+)/(?:manifests|blobs|tags|referrers)/")
_HOST_CHARACTERS = re.compile(r"[^A-Za-z0-9.:\[\]_-]")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Its labels name no repository, so it is as open as what it counts.
METRICS = "/metrics"


class Who(enum.Enum):
    """Who may do a thing."""

    NOBODY = "off"
    USERS = "authenticated"
    ANYBODY = "anonymous"


@dataclass(frozen=True, slots=True)
class Access:
    """What the operator allows. With users there is a file of them."""

    pull: Who = Who.ANYBODY
    push: Who = Who.NOBODY
    passwords: Passwords | None = None
    tokens: Tokens | None = None
    no_push: str = "pushing is off"
    """What is said where nobody may push."""


class Guard:
    """Middleware: turns away who may not, before a route is looked for."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the request pass.

        Raises:
            Unauthorized: credentials are missing or wrong.
            Denied, SwitchedOff: nobody may.
        """
        if not req.path.startswith("/v2") and req.path != METRICS:
            return
        reading = req.method in _READING
        who = self._access.pull if reading else self._access.push
        if who is Who.NOBODY:
            raise SwitchedOff("nothing is deleted here") if req.method == "DELETE" else Denied(self._access.no_push)
        if self._access.passwords is None:
            return
        asks_what_to_do = req.path in ("/v2", "/v2/")
        header = req.get_header("Authorization")
        known, user = (True, None) if header is None else self._identify(header)
        if not known or (user is None and (who is Who.USERS or (asks_what_to_do and header is None))):
            raise Unauthorized(_challenge(req))
        req.context.user = user
        req.env["REMOTE_USER"] = user or ""  # for the log of requests

    def _identify(self, header: str) -> tuple[bool, str | None]:
        assert self._access.passwords is not None
        assert self._access.tokens is not None
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return self._access.tokens.read(value.strip())
        if scheme.lower() != "basic":
            return False, None
        credentials = parse_basic(value)
        if credentials is None:
            return False, None
        return (True, credentials[0]) if self._access.passwords.verify(*credentials) else (False, None)


class TokenEndpoint:
    """`/token`: credentials, or none, for a token (the flow that docker's clients know)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A token for whoever the credentials are of, or for somebody unknown.

        Raises:
            Unauthorized: credentials are given, and wrong.
        """
        assert self._access.passwords is not None
        assert self._access.tokens is not None
        header = req.get_header("Authorization")
        user = None
        if header is not None:
            credentials = parse_basic(header.partition(" ")[2])
            if credentials is None or not self._access.passwords.verify(*credentials):
                raise Unauthorized('Basic realm="k0rdentd"')
            user = credentials[0]
        token = self._access.tokens.issue(user)
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("Cache-Control", "no-store")
        resp.data = orjson.dumps({"token": token, "access_token": token, "expires_in": SECONDS})


def parse_basic(value: str) -> tuple[str, str] | None:
    """User and password of a Basic header's value."""
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon and user else None


def _challenge(req: falcon.Request) -> str:
    """Where to get a token, and for what."""
    host = _HOST_CHARACTERS.sub("", req.netloc)
    challenge = f'Bearer realm="{req.scheme}://{host}/token",service="{host}"'
    named = _REPOSITORY.match(req.path)
    return f'{challenge},scope="repository:{named[1]}:pull,push"' if named else challenge
