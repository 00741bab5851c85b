"""What a server says of a file that it has."""

import re
from dataclasses import dataclass
from typing import Self

import httpx

from registry.transfer.errors import AnswerInvalid
from registry.transfer.text import printable

_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_NUMBER = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Two answers with one validator are of the same bytes."""

    url: str
    size: int
    validator: str | None

    @classmethod
    def of(cls, response: httpx.Response, url: str, offset: int) -> Self:
        """What an answer says that brings all of the file, or all from `offset` on.

        Raises:
            AnswerInvalid: it says nothing that could be relied on.
        """
        return cls(url, _whole_size(response, offset), _validator(response))


def _whole_size(response: httpx.Response, offset: int) -> int:
    """The size of the file, of which the answer brings all, or all from `offset` on."""
    if response.status_code == httpx.codes.OK:
        text = response.headers.get("content-length", "")
        if not _NUMBER.fullmatch(text):
            raise AnswerInvalid(f"{printable(response.url.path)}: the server does not say how long it is")
        return int(text)
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or int(found[1]) != offset or int(found[2]) != int(found[3]) - 1:
        raise AnswerInvalid(f"{printable(response.url.path)}: the server answers with another part than was asked for")
    return int(found[3])


def _validator(response: httpx.Response) -> str | None:
    """What If-Range takes: a strong entity tag, or a date (RFC 9110 section 13.1.5)."""
    tag = str(response.headers.get("etag", ""))
    if tag.startswith('"') and len(tag) < 1024:
        return tag
    return str(response.headers["last-modified"])[:64] if "last-modified" in response.headers else None
