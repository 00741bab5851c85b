"""One client's connection: what it has sent, and what it still has to get. It never waits, but in a thread."""

import enum
import os
import socket
import time
from typing import Any

from registry.server.answer import Answer
from registry.server.request import Received, Request

_READ = 64 * 1024
# So much of a file is sent before others have their turn.
_TURN = 1024 * 1024
_PROBE = bytearray(1)


class Sent(enum.Enum):
    """How far an answer has come."""

    ALL = enum.auto()
    A_TURN = enum.auto()
    WHAT_FITS = enum.auto()


class Connection:
    """Belongs to the worker's loop or, while `is_lent`, to one of its threads."""

    __slots__ = (
        *(
            "answer",
            "client",
            "deadline",
            "is_broken",
            "is_lent",
            "is_lingering",
            "received",
            "request",
            "sent",
            "server",
        ),
        *("sock", "started", "user", "watched"),
    )

    def __init__(self, sock: socket.socket, client: tuple[str, int], deadline: float) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.client = client
        self.server: tuple[str, int] = sock.getsockname()[:2]
        self.deadline = deadline
        """When, on the monotonic clock, the client has idled for too long."""
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
        self.is_broken = False
        self.is_lingering = False
        """All is sent and the end is told; what still comes is thrown away."""
        self.watched = 0
        """The events that epoll tells of it."""

    def fill(self) -> bool:
        """Take what the client has sent; False at the end. An OSError where it is gone."""
        try:
            piece = self.sock.recv(_READ)
        except BlockingIOError:
            return True
        if not self.is_lingering:
            self.received += piece
        return bool(piece)

    def parse(self, cfg: Any) -> Request:
        """The next request, whose body may still be on its way.

        Raises:
            Incomplete, ParseException: as `Request`.
        """
        self.request = Request(cfg, Received(self.sock, self.received), self.client)
        self.received = b""
        self.started = time.monotonic()
        return self.request

    def finish_request(self) -> None:
        """Be ready for the next one, whose first bytes may have come already."""
        if self.request is not None:
            self.received = self.request.unreader.take_buffered()
        if self.answer is not None:
            self.answer.close()
        self.request = self.answer = None
        self.user = ""

    def send(self) -> None:
        """Send on, as much as is taken at once. An OSError where the client is gone, or the file too short."""
        answer = self.answer
        assert answer is not None
        self.sent = Sent.WHAT_FITS
        try:
            while answer.unsent:
                count = self.sock.send(answer.unsent, socket.MSG_MORE if answer.file else 0)
                answer.unsent = answer.unsent[count:]
            self.sent = self._send_file(answer) if answer.file else Sent.ALL
        except BlockingIOError:
            return

    def is_cold(self) -> bool:
        """Whether the next part of the file has to come from the disk, which others should not wait for."""
        answer = self.answer
        if answer is None or answer.file is None:
            return False
        last = min(answer.offset + _TURN, answer.end) - 1
        return not (_is_cached(answer.file.fileno(), answer.offset) and _is_cached(answer.file.fileno(), last))

    def close(self) -> None:
        if self.answer is not None:
            self.answer.close()
        self.sock.close()

    def _send_file(self, answer: Answer) -> Sent:
        assert answer.file is not None
        source, target = answer.file.fileno(), self.sock.fileno()
        turn = min(answer.offset + _TURN, answer.end)
        while answer.offset < turn:
            count = os.sendfile(target, source, answer.offset, turn - answer.offset)
            if count == 0:
                raise ConnectionAbortedError(f"the file ends {answer.end - answer.offset} bytes early")
            answer.offset += count
        return Sent.ALL if answer.offset == answer.end else Sent.A_TURN


def _is_cached(file: int, offset: int) -> bool:
    try:
        os.preadv(file, [_PROBE], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:  # this file system cannot tell
        return True
    return True
