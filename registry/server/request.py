"""A request: gunicorn's parser over what a client has sent so far, and the WSGI environment of it."""

import ipaddress
import socket
import sys
import time
from functools import lru_cache
from typing import Any

from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request as GunicornRequest
from gunicorn.http.unreader import Unreader
from gunicorn.util import unquote_to_wsgi_str

# A request line and headers; gunicorn's own limits are below it.
HEAD_LIMIT = 64 * 1024
_PIECE = 8 * 1024
_PIECE_LIMIT = 1024 * 1024


class Incomplete(Exception):
    """The head of a request has not come to its end yet."""


class Received(Unreader):  # type: ignore[misc]  # gunicorn is not typed
    """What a client has sent; asked for more it reads on, but only once `may_wait` is set, in a thread."""

    def __init__(self, sock: socket.socket, received: bytes) -> None:
        super().__init__()
        self.buf.write(received)
        self.may_wait = False
        self.owes_100 = False
        """The client sends its body when it is told to, which is when somebody reads on."""
        self.end: float | None = None
        """When, on the monotonic clock, the last of it has to have come; None where it may take for ever."""
        self._sock: socket.socket | None = sock

    def let_go(self) -> None:
        """Of a request without a body, all has come: it may outlive its connection."""
        self._sock = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes from the client.

        Raises:
            Incomplete: to read on would be to wait.
            TimeoutError: the client is silent, or takes too long.
        """
        if not self.may_wait or self._sock is None:
            raise Incomplete
        if self.end is not None:
            left = self.end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the body does not end")
            self._sock.settimeout(min(left, self._sock.gettimeout() or left))
        if self.owes_100:
            self.owes_100 = False
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self._sock.recv(min(max(size_hint or 0, _PIECE), _PIECE_LIMIT))


class Request(GunicornRequest):  # type: ignore[misc]  # gunicorn is not typed
    """One request; its body is read while it is answered."""

    method: str
    path: str
    headers: list[tuple[str, str]]

    def __init__(self, cfg: Any, received: Received, peer: tuple[str, int]) -> None:
        """Parses the head.

        Raises:
            Incomplete: it has not all come yet.
            ParseException: it is no request, or a larger one than is taken.
        """
        super().__init__(cfg, received, peer)
        received.owes_100 = self._expected_100_continue

    @property
    def has_body(self) -> bool:
        return getattr(self.body.reader, "length", None) != 0

    @property
    def is_read(self) -> bool:
        """Whether what follows on the connection is the next request."""
        reader = self.body.reader
        if self.body.failed or self.body.buf.tell():
            return False
        return getattr(reader, "length", None) == 0 or getattr(reader, "parser", self) is None

    def _peer_is_trusted_proxy(self) -> bool:
        return _is_trusted(self.peer_addr[0], tuple(self.cfg.forwarded_allow_ips))


class Body:
    """The body; chunks that are malformed are the client's fault, as a lost connection is."""

    def __init__(self, body: Any, received: Received) -> None:
        self._body = body
        self._received = received

    @property
    def is_held_back(self) -> bool:
        """Whether the client waits to be told that it may send, which nobody has done."""
        return self._received.owes_100

    def hurry(self, seconds: float) -> None:
        """Take no more than so long, in all, for what is still to come."""
        self._received.end = time.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, none at the end; an OSError where the client did not keep to the protocol."""
        try:
            piece: bytes = self._body.read(size)
        except ParseException as error:
            raise ConnectionAbortedError(str(error)) from error
        return piece


class FileBody:
    """What the application answers for a file; the worker sends it, and closes it."""

    def __init__(self, file: Any, _: int = 0) -> None:
        self.file = file


def environ(request: Request, client: tuple[str, int], server: tuple[str, int]) -> dict[str, Any]:
    """PEP 3333's environment."""
    found: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_wsgi_str(request.path),
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{request.version[0]}.{request.version[1]}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": Body(request.body, request.unreader),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.file_wrapper": FileBody,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


@lru_cache(maxsize=4096)
def _is_trusted(address: str, allowed: tuple[str, ...]) -> bool:
    if "*" in allowed:
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in ipaddress.ip_network(each, strict=False) for each in allowed)
