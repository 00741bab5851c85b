"""An answer, as the application gives it and as it goes over the wire."""

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from types import TracebackType
from typing import Any, BinaryIO, Self

import orjson

from registry.server.request import FileBody, Request

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5: never within a value
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """All of an answer but its date, to be given again."""

    status: str
    rest: bytes
    """What follows the date: headers and, if it is in memory, the body."""
    bytes: int
    file: str | None
    offset: int
    end: int


class Answer:
    """A status, headers, and a body that is bytes in memory or a part of a file.

    The first bytes of a body go out with the headers: one write in place of two is 15 % more small
    answers a second.
    """

    __slots__ = ("_headers", "bytes", "closes", "end", "file", "offset", "status", "unsent")

    def __init__(self, *, closes: bool) -> None:
        self.status = ""
        self.closes = closes
        self.unsent = b""
        """Head and, if it is in memory, body."""
        self.file: BinaryIO | None = None
        self.offset = self.end = 0
        self.bytes = 0
        """Of the body."""
        self._headers: list[tuple[str, str]] = []

    def start(self, status: str, headers: list[tuple[str, str]], _: _ExcInfo = None) -> None:
        """WSGI's `start_response`."""
        self.status, self._headers = status, headers

    def finish(self, body: Iterable[bytes], *, bodiless: bool) -> None:
        """Take what the application returned; `bodiless` if it was asked for the head alone."""
        if isinstance(body, FileBody):
            self._take_file(body.file)
            content = b""
        else:
            content = b"".join(body)
        if bodiless or self.status[:3] in ("204", "304"):
            self.close()
            self.unsent = self._head(None)
            return
        self.bytes = self.end - self.offset if self.file else len(content)
        self.unsent = self._head(self.bytes) + content

    @classmethod
    def again(cls, recorded: Recorded) -> Self:
        """The answer that `recorded` was taken of. An OSError where its file is gone."""
        answer = cls(closes=False)
        answer.status, answer.bytes = recorded.status, recorded.bytes
        answer.offset, answer.end = recorded.offset, recorded.end
        if recorded.file is not None:
            answer.file = open(recorded.file, "rb", buffering=0)  # noqa: SIM115  # closed when it is sent
        answer.unsent = _opening(recorded.status, int(time.time())) + recorded.rest
        return answer

    def recorded(self) -> Recorded:
        """Of an answer that is finished, and of which nothing is sent yet."""
        rest = self.unsent[len(_opening(self.status, 0)) :]  # a date is as long as another
        file = None if self.file is None else self.file.name
        return Recorded(self.status, rest, self.bytes, file, self.offset, self.end)

    @property
    def sent(self) -> int:
        """Bytes of the body that have been sent so far."""
        left = self.end - self.offset if self.file else len(self.unsent)
        return max(0, self.bytes - left)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def _take_file(self, file: BinaryIO) -> None:
        self.file = file
        self.offset = os.lseek(file.fileno(), 0, os.SEEK_CUR)
        lengths = [int(value) for name, value in self._headers if name.lower() == "content-length"]
        self.end = self.offset + lengths[0] if lengths else os.fstat(file.fileno()).st_size

    def _head(self, length: int | None) -> bytes:
        """The head; with a `length` of the body if the application gave none."""
        if _CONTROL.search("".join([value for _, value in self._headers])):
            raise ValueError("a header of the answer holds a control character")
        connection = "close" if self.closes else "keep-alive"
        lines = [f"Connection: {connection}\r\n", *(f"{name}: {value}\r\n" for name, value in self._headers)]
        if length is not None and not any(name.lower() == "content-length" for name, _ in self._headers):
            lines.append(f"Content-Length: {length}\r\n")
        return _opening(self.status, int(time.time())) + "".join([*lines, "\r\n"]).encode("latin-1")


def run(application: Application, environ: dict[str, Any], request: Request, *, closes: bool) -> Answer:
    """What the application says."""
    answer = Answer(closes=closes or request.should_close())
    body = application(environ, answer.start)
    answer.closes = answer.closes or not request.is_read
    try:
        answer.finish(body, bodiless=request.method == "HEAD")
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer


def refusal(status: HTTPStatus, message: str) -> Answer:
    """An error document of the server itself, for what never became a request; the connection ends with it."""
    answer = Answer(closes=True)
    answer.start(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
    answer.finish([orjson.dumps({"errors": [{"code": "UNSUPPORTED", "message": message}]})], bodiless=False)
    return answer


@lru_cache(maxsize=16)
def _opening(status: str, seconds: int) -> bytes:
    return f"HTTP/1.1 {status}\r\nDate: {formatdate(seconds, usegmt=True)}\r\n".encode("latin-1")
