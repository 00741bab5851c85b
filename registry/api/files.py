"""`/files/`: k0s for the nodes of child clusters, which fetch it before they have anything to pull with."""

import os
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from typing import BinaryIO

import falcon
import orjson

from registry.api.conditions import is_known, require_match
from registry.api.ranges import ByteRange, parse_range
from registry.oci.mediatype import OCTET_STREAM
from registry.storage.binaries import Binaries
from registry.storage.folder import Folder, ListedFile


class Shelf:
    """The files of the operator's directory, and behind them k0s out of its images in the store."""

    def __init__(self, binaries: Binaries, folder: Folder | None) -> None:
        self._binaries = binaries
        self._folder = folder

    def open(self, name: str) -> BinaryIO:
        """The file of this name, unbuffered.

        Raises:
            falcon.HTTPNotFound: there is none.
        """
        file = (self._folder and self._folder.open(name)) or self._binaries.open(name)
        if file is None:
            raise falcon.HTTPNotFound(title="no such file", description="GET /files/ lists those that there are")
        return file

    def list(self) -> list[ListedFile]:
        """All files, by name."""
        listed = {each.name: each for each in self._binaries.list()}
        listed |= {each.name: each for each in (self._folder.list() if self._folder else ())}
        return [listed[name] for name in sorted(listed)]


class FileList:
    """What there is, for an operator: names a line, or JSON for who accepts that."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        files = self._shelf.list()
        resp.set_header("Vary", "Accept")
        if "json" in req.accept:
            resp.content_type = falcon.MEDIA_JSON
            resp.data = orjson.dumps({"files": [{"name": each.name, "size": each.size} for each in files]})
        else:
            resp.content_type = falcon.MEDIA_TEXT
            resp.text = "".join(f"{each.name}\n" for each in files)

    on_head = on_get


class File:
    """One file. Open to anybody, whatever `--pull` says.

    The one who fetches k0s is a curl in a new machine's first boot script; k0rdent has a setting for
    the URL and for the CA behind it, and none for credentials. And k0s is no secret.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def on_head(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        with self._shelf.open(name) as file:
            facts = os.fstat(file.fileno())
        if not _describe(req, resp, facts):
            resp.content_length = facts.st_size

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The bytes, or the range of them that is asked for."""
        file = self._shelf.open(name)
        try:
            facts = os.fstat(file.fileno())
            if _describe(req, resp, facts):
                file.close()
                return
            part = _asked_range(req, facts)
            first, length = (part.first, part.length) if part else (0, facts.st_size)
            file.seek(first)
        except BaseException:
            file.close()
            raise
        if part is not None:
            resp.status = falcon.HTTP_206
            resp.set_header("Content-Range", str(part))
        resp.stream = file  # the worker sends from the file's position, and closes it
        resp.content_length = length


def _describe(req: falcon.Request, resp: falcon.Response, facts: os.stat_result) -> bool:
    """The headers of every answer; True where a 304 is all that the client needs (RFC 9110 section 13.2.2)."""
    etag = _etag(facts)
    require_match(req, etag)
    resp.content_type = OCTET_STREAM
    resp.set_headers(
        (
            ("ETag", f'"{etag}"'),
            ("Last-Modified", formatdate(int(facts.st_mtime), usegmt=True)),
            ("Accept-Ranges", "bytes"),
        )
    )
    if req.get_header("If-None-Match") is not None:
        unchanged = is_known(req, etag)
    else:
        since = _date(req.get_header("If-Modified-Since"))
        unchanged = since is not None and int(facts.st_mtime) <= since.timestamp()
    if unchanged:
        resp.status = falcon.HTTP_304
    return unchanged


def _etag(facts: os.stat_result) -> str:
    return f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"


def _asked_range(req: falcon.Request, facts: os.stat_result) -> ByteRange | None:
    condition = req.get_header("If-Range")
    if condition is not None and condition.strip() != f'"{_etag(facts)}"':
        date = _date(condition)
        if date is None or int(date.timestamp()) != int(facts.st_mtime):
            return None
    return parse_range(req.get_header("Range"), facts.st_size)


def _date(header: str | None) -> datetime | None:
    """An HTTP date; None where there is none, or none that can be read."""
    try:
        date = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
