"""Request bodies: read in pieces, with or without a length, and never believed.

`req.stream` is the server's own: Falcon's bounded one reads nothing of a chunked body. A body cut
short of its Content-Length looks like a clean end there, so what came is counted here.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import falcon

from registry.oci.errors import BlobTooLarge, BlobUploadInvalid, ManifestTooLarge, SizeInvalid

_PIECE = 1024 * 1024
_CONTENT_RANGE = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_DRAIN_BYTES = 256 * 1024 * 1024
_DRAIN_SECONDS = 5.0


class Chunk(NamedTuple):
    """What a request says of its body: where in the blob it begins, and its length; None where it does not say."""

    first: int | None
    length: int | None


def pieces(req: falcon.Request, limit: int, before: int = 0, length: int | None = None) -> Iterator[bytes]:
    """The body, piece by piece; `before` bytes of the blob are there already, and `length` are announced.

    Raises:
        BlobTooLarge: the blob gets more than `limit` bytes.
        SizeInvalid: the body is shorter, or longer, than was said.
        BlobUploadInvalid: it breaks off, or its chunks are malformed.
    """
    length = req.content_length if length is None else length
    if before + (length or 0) > limit:
        raise BlobTooLarge(f"more than {limit} bytes")
    count = 0
    while piece := _read(req, _PIECE):
        count += len(piece)
        if before + count > limit:
            raise BlobTooLarge(f"more than {limit} bytes")
        if length is not None and count > length:  # only without a Content-Length: the server cuts at that
            raise SizeInvalid(f"the body has more than {length} bytes")
        yield piece
    if length is not None and count < length:
        raise SizeInvalid(f"the body ended after {count} of {length} bytes")


def read_limited(req: falcon.Request, limit: int) -> bytes:
    """The whole body, as long as it is no larger than a manifest may be.

    Raises:
        ManifestTooLarge: it has more than `limit` bytes.
        SizeInvalid, BlobUploadInvalid: it ends early.
    """
    try:
        return b"".join(pieces(req, limit))
    except BlobTooLarge as error:
        raise ManifestTooLarge(f"more than {limit} bytes") from error


def content_range(req: falcon.Request) -> Chunk:
    """Where the chunk says that it lies (end-5).

    Raises:
        BlobUploadInvalid: the header is not `<first>-<last>`.
        SizeInvalid: it disagrees with Content-Length.
    """
    header = req.get_header("Content-Range")
    if header is None:
        return Chunk(None, req.content_length)
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise BlobUploadInvalid(f"Content-Range {header[:80]!r} is not <first>-<last>")
    first, last = int(match[1]), int(match[2])
    length = last - first + 1
    if length < 0 or req.content_length not in (None, length):
        raise SizeInvalid(f"Content-Range {header!r} and Content-Length {req.content_length} disagree")
    return Chunk(first, length)


def upload_range(offset: int) -> str:
    """The Range header of an upload; of none at all it cannot say better than `0-0`."""
    return f"0-{max(0, offset - 1)}"


def drain(req: falcon.Request) -> None:
    """Read on after a refusal, within bounds: a client that is still sending would not see the answer."""
    if not req.content_length and req.get_header("Transfer-Encoding") is None:
        return
    if req.env["wsgi.input"].is_held_back:
        return
    count = 0
    req.env["wsgi.input"].hurry(_DRAIN_SECONDS)  # a byte a second would hold a thread for days
    with suppress(BlobUploadInvalid):
        while count < _DRAIN_BYTES and (piece := _read(req, _PIECE)):
            count += len(piece)


def _read(req: falcon.Request, size: int) -> bytes:
    try:
        return req.stream.read(size)
    except OSError as error:
        raise BlobUploadInvalid("the body broke off") from error
