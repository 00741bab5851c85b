"""What a worker answered lately: who asks the very same gets the same, as long as the index has not changed.

A burst of nodes is thousands of clients of one make that ask for the same things, byte for byte. To
parse, route and look up each time what is known already was three quarters of a small answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from registry.server.answer import Answer, Recorded
from registry.server.request import Request

_HEAD_LIMIT = 4 * 1024
_BODY_LIMIT = 64 * 1024
_LIMIT = 16 * 1024 * 1024
# About what a parsed request takes, and each of its headers.
_REQUEST_SIZE = 2 * 1024
_HEADER_SIZE = 512
_CONTENT = "/v2/"
_END = b"\r\n\r\n"
_GOOD = frozenset(("200", "206"))


@dataclass(frozen=True, slots=True)
class Known:
    """A request, and what it is answered."""

    request: Request
    recorded: Recorded


class Memory:
    """Holds no more than some megabytes, and nothing that depends on who asks."""

    def __init__(self, version: Callable[[], int | None]) -> None:
        """`version` is another number after every change of the index; None where that is not known."""
        self._ask_version = version
        self._version: int | None = None
        self._known: dict[bytes, Known] = {}
        self._size = 0

    def find(self, received: bytes) -> Known | None:
        """What is known of these bytes of a client, if they are one request and nothing else."""
        version = self._ask_version()
        if version is None:
            return None
        if version != self._version:
            self._known.clear()
            self._version, self._size = version, 0
        return self._known.get(received)

    def keep(self, received: bytes, request: Request, answer: Answer) -> None:
        """Remember an answer of which nothing is sent yet; `find` was asked for it before the index was."""
        if self._version is None or not _is_lasting(received, request, answer):
            return
        request.unreader.let_go()
        if received in self._known:
            self._size -= _size(received, self._known.pop(received))
        self._known[received] = known = Known(request, answer.recorded())
        self._size += _size(received, known)
        while self._size > _LIMIT:
            oldest = next(iter(self._known))
            self._size -= _size(oldest, self._known.pop(oldest))


def _is_lasting(received: bytes, request: Request, answer: Answer) -> bool:
    return (
        request.path.startswith(_CONTENT)  # whether the registry is ready is another question each time
        and answer.status[:3] in _GOOD
        and not answer.closes
        and len(received) <= _HEAD_LIMIT
        and len(answer.unsent) <= _BODY_LIMIT
        and received.find(_END) == len(received) - len(_END)  # one head, and nothing behind it
        and not any(name == "AUTHORIZATION" for name, _ in request.headers)
    )


def _size(received: bytes, known: Known) -> int:
    return _REQUEST_SIZE + _HEADER_SIZE * len(known.request.headers) + len(received) + len(known.recorded.rest)
