"""One connection that stays open: a request goes out, an answer comes in, as much as is there at a time."""

import re
import socket
import ssl
from contextlib import suppress

from bench.errors import BenchFailed
from bench.traffic.endpoint import Endpoint, Request

_HEAD = 64 * 1024
_BODY = 1024 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3})")
_GOOD = ord("2")
_NOTHING = Request("GET", "/")


class Lane:
    """Answers are looked at as little as can be: one of the very length of the last good one is taken for good.

    Bodies that nobody wants are not copied out of the kernel where that is possible (MSG_TRUNC; not over TLS): the
    server is to be measured, and a client on this machine takes its cores.
    """

    __slots__ = (
        "_body", "_buffer", "_endpoint", "_head", "_keeps", "_left", "_request", "_usual", "file", "received", "sock"
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, trust: ssl.SSLContext | None, buffer: memoryview) -> None:
        self.sock = endpoint.connect(trust)
        self.sock.setblocking(False)
        self.file = self.sock.fileno()
        self.received = 0
        """Bytes of bodies, of all answers."""
        self._endpoint = endpoint
        self._buffer = buffer
        self._left = 0
        self._head = b""
        self._usual = (b"", -1, 0)
        """The last request, the length of its answer where that came in one piece, and of the body in it."""
        self._request = _NOTHING
        self._keeps = False
        self._body = bytearray()

    def ask(self, wire: bytes, request: Request) -> None:
        """Send `request`, of which `wire` are the bytes."""
        if self._usual[0] is not wire:
            self._usual = (wire, -1, 0)
        self._request, self._keeps = request, request.keeps
        self._left = -1
        try:
            self.sock.send(wire)
        except OSError as error:
            raise self._failed(f"does not take it: {error}") from error

    def take(self) -> bool:
        """Take what has come; whether the answer is whole.

        Raises:
            BenchFailed: it is not what the request asks for, or the connection broke.
        """
        try:
            if not self._left:
                return self._take_aside()
            while self._left and not (self._take_head() if self._left < 0 else self._take_body()):
                if not isinstance(self.sock, ssl.SSLSocket):
                    return not self._left
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise self._failed(f"broke off: {error}") from error
        return True

    @property
    def body(self) -> bytes:
        """Of the last answer, if its request keeps it."""
        return bytes(self._body)

    def close(self) -> None:
        """Without a word over TLS, as clients do."""
        with suppress(OSError):
            self.sock.close()

    def _take_aside(self) -> bool:
        """What comes without having been asked for: tickets of TLS, or the end."""
        if not self.sock.recv_into(self._buffer, 1):
            raise self._failed("was answered, and then the connection closed: let it stay open")
        raise self._failed("was answered with more than its length")

    def _take_head(self) -> bool:
        count = self.sock.recv_into(self._buffer, _HEAD)
        wire, usual, size = self._usual
        if count == usual and self._buffer[9] == _GOOD and not self._head:
            self.received += size
            self._left = 0
            return True
        if not count:
            raise self._failed("was cut off")
        self._head += bytes(self._buffer[:count])
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, begun, self._head = self._head[:end], self._head[end + 4 :], b""
        self._left = self._expected(head) - len(begun)
        self.received += len(begun)
        self._body = bytearray(begun)
        if not self._left and not self._keeps:
            self._usual = (wire, end + 4 + len(begun), len(begun))
        return not self._left

    def _take_body(self) -> bool:
        wanted = min(self._left, _BODY)
        if self._keeps or isinstance(self.sock, ssl.SSLSocket):
            count = self.sock.recv_into(self._buffer, wanted)
        else:
            count = self.sock.recv_into(self._buffer, wanted, socket.MSG_TRUNC)
        if not count:
            raise self._failed(f"ended {self._left} bytes early")
        if self._keeps:
            self._body += self._buffer[:count]
        self.received += count
        self._left -= count
        return not self._left

    def _expected(self, head: bytes) -> int:
        """Bytes of the body."""
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or int(status[1]) != self._request.status:
            raise self._failed(f"was answered with {head[:60].decode('latin-1').splitlines()[0]}")
        if length is None:
            raise self._failed("was answered without Content-Length")
        size = int(length[1])
        if self._request.size is not None and size != self._request.size:
            raise self._failed(f"was answered with {size} bytes, not {self._request.size}")
        return 0 if self._request.method == "HEAD" else size

    def _failed(self, what: str) -> BenchFailed:
        return BenchFailed(f"{self._endpoint.authority}: {self._request.method} {self._request.path} {what}")


def buffer() -> memoryview:
    """What the lanes of one process share: whatever is in it is looked at before another lane takes something."""
    return memoryview(bytearray(_BODY))
