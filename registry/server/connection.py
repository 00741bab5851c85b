"""One client's connection: what it has sent, and what it still has to get. It never waits, but in a thread."""

import enum
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO

from registry.server.answer import Answer
from registry.server.request import Received, Request

_READ = 64 * 1024
# So much of a file is sent before others have their turn.
_TURN = 1024 * 1024
# What is encrypted at once; below it the calls cost more than the cipher.
_ENCRYPTED = 128 * 1024
_PROBE = bytearray(1)
_TLS_HANDSHAKE = b"\x16"  # the first byte of a client that speaks TLS, and of none that speaks HTTP

_buffers = threading.local()


class Sent(enum.Enum):
    """How far an answer has come."""

    ALL = enum.auto()
    A_TURN = enum.auto()
    WHAT_FITS = enum.auto()


class Connection:
    """Belongs to the worker's loop or, while `is_lent`, to one of its threads."""

    __slots__ = (
        "answer",
        "client",
        "deadline",
        "file",
        "greets",
        "is_asking",
        "is_broken",
        "is_known",
        "is_lent",
        "is_lingering",
        "is_queued",
        "received",
        "request",
        "sent",
        "server",
        "sock",
        "started",
        "user",
        "watched",
    )

    def __init__(self, sock: socket.socket, client: tuple[str, int], deadline: float) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.file = sock.fileno()
        """By this epoll and the worker know it, whatever becomes of `sock`."""
        self.client = client
        self.server: tuple[str, int] = sock.getsockname()[:2]
        self.deadline = deadline
        """When, on the monotonic clock, the client has idled for too long."""
        self.is_known = False
        """Whether it has shown that it speaks TLS, or that it does not."""
        self.greets = False
        """A TLS handshake has begun and not ended."""
        self.is_asking = False
        """The first bytes of a request have come, over TLS perhaps not a whole record yet."""
        self.received = b""
        """Of requests that have not been parsed."""
        self.request: Request | None = None
        self.started = 0.0
        self.user = ""
        """Who the application found the client to be."""
        self.answer: Answer | None = None
        self.sent = Sent.ALL
        """What the last attempt came to."""
        self.is_lent = False
        self.is_queued = False
        """It has a place in the queue of the worker's next turn."""
        self.is_broken = False
        self.is_lingering = False
        """All is sent and the end is told; what still comes is thrown away."""
        self.watched = 0
        """The events that epoll tells of it."""

    def fill(self) -> bool:
        """Take what the client has sent; False at the end. An OSError where it is gone."""
        try:
            piece = self.sock.recv(_READ)
            if isinstance(self.sock, ssl.SSLSocket) and (count := self.sock.pending()):
                piece += self.sock.recv(count)  # epoll does not know of it
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        if not self.is_lingering:
            self.received += piece
        return bool(piece)

    def speaks_tls(self) -> bool | None:
        """By its first byte; None where none has come. An OSError where the client is gone."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
        except BlockingIOError:
            return None

    def start_tls(self, context: ssl.SSLContext) -> None:
        """From here on what is sent and received is encrypted, beginning with `greet`."""
        self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self.greets = True

    def greet(self) -> bool:
        """Go on with the handshake; whether it waits to write. An OSError where the client does not agree."""
        try:
            self.sock.do_handshake()  # type: ignore[attr-defined]  # after start_tls it is an SSLSocket
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            return True
        self.greets = False
        return False

    def parse(self, cfg: Any) -> Request:
        """The next request, whose body may still be on its way.

        Raises:
            Incomplete, ParseException: as `Request`.
        """
        request = Request(cfg, Received(self.sock, self.received), self.client)
        if isinstance(self.sock, ssl.SSLSocket):
            request.scheme = "https"
        self.take_up(request)
        return request

    def take_up(self, request: Request) -> None:
        """Let this be what the bytes that were received ask for."""
        self.request, self.received = request, b""
        self.started = time.monotonic()

    def finish_request(self) -> None:
        """Be ready for the next one, whose first bytes may have come already."""
        if self.request is not None:
            self.received = self.request.unreader.take_buffered()
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            self.fill()
        if self.answer is not None:
            self.answer.close()
        self.request = self.answer = None
        self.is_asking = bool(self.received)
        self.user = ""

    def send(self) -> None:
        """Send on, as much as is taken at once. An OSError where the client is gone, or the file too short."""
        answer = self.answer
        assert answer is not None
        self.sent, is_tls = Sent.WHAT_FITS, isinstance(self.sock, ssl.SSLSocket)
        try:
            while answer.unsent:
                more = socket.MSG_MORE if answer.file and not is_tls else 0
                count = self.sock.send(answer.unsent, more)
                answer.unsent = answer.unsent[count:]
            if answer.file is None:
                self.sent = Sent.ALL
                return
            turn = min(answer.offset + _TURN, answer.end)
            while answer.offset < turn:
                send = self._send_encrypted if is_tls else self._send_file
                answer.offset += send(answer.file, answer.offset, turn)
            self.sent = Sent.ALL if answer.offset == answer.end else Sent.A_TURN
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return

    def is_cold(self) -> bool:
        """Whether the next part of the file has to come from the disk, which others should not wait for."""
        answer = self.answer
        if answer is None or answer.file is None or answer.offset >= answer.end:
            return False
        last = min(answer.offset + _TURN, answer.end) - 1
        return not (_is_cached(answer.file.fileno(), answer.offset) and _is_cached(answer.file.fileno(), last))

    def say_end(self) -> None:
        """Nothing more is sent. TLS has a word of its own for it, without which a client may suspect a forged end."""
        if isinstance(self.sock, ssl.SSLSocket):
            with suppress(ssl.SSLError):  # the client's own last word is not waited for
                self.sock.unwrap()
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self.answer is not None:
            self.answer.close()
        self.sock.close()

    def _send_file(self, file: BinaryIO, offset: int, end: int) -> int:
        return os.sendfile(self.sock.fileno(), file.fileno(), offset, end - offset) or _cut_short(end - offset)

    def _send_encrypted(self, file: BinaryIO, offset: int, end: int) -> int:
        """What is not taken is read again the next time: a slow client holds no memory."""
        buffer = _buffer()[: end - offset]
        count = os.preadv(file.fileno(), [buffer], offset) or _cut_short(end - offset)
        return self.sock.send(buffer[:count])


def _cut_short(missing: int) -> int:
    raise ConnectionAbortedError(f"the file ends at least {missing} bytes early")


def _buffer() -> memoryview:
    """One for each thread that sends."""
    if not hasattr(_buffers, "view"):
        _buffers.view = memoryview(bytearray(_ENCRYPTED))
    view: memoryview = _buffers.view
    return view


def _is_cached(file: int, offset: int) -> bool:
    try:
        os.preadv(file, [_PROBE], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:  # this file system cannot tell
        return True
    return True
