"""The one door at which failures become HTTP answers (distribution-spec, "Error Codes")."""

import logging
from typing import Any

import falcon
import orjson

from registry.api.bodies import drain, upload_range
from registry.oci.errors import (
    OCIError,
    RangeNotSatisfiable,
    SwitchedOff,
    TooManyRequests,
    Unauthorized,
    Unsupported,
    UploadOutOfOrder,
)
from registry.storage.errors import StorageError, StorageFull

_OF_CONTENT = ("Accept-Ranges", "Cache-Control", "Docker-Content-Digest", "ETag", "Last-Modified")

_log = logging.getLogger(__name__)


def install(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Make every failure of `app` answer with the specification's error document."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(StorageError, _storage)
    app.add_error_handler(OCIError, _refused)
    app.add_error_handler(falcon.HTTPError, _http)


def document(code: str, message: str, detail: str) -> bytes:
    """`{"errors": [...]}` with one error."""
    error = {"code": code, "message": message}
    if detail:
        error["detail"] = detail
    return orjson.dumps({"errors": [error]})


def _take_back(resp: falcon.Response) -> None:
    """What a resource said of content is not true of an error, which a cache would keep for a year."""
    for name in _OF_CONTENT:
        resp.delete_header(name)


def _refused(req: falcon.Request, resp: falcon.Response, error: OCIError, params: dict[str, Any]) -> None:
    _take_back(resp)
    resp.status = error.status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = document(error.code, error.message, error.detail)
    drain(req)
    match error:
        case RangeNotSatisfiable():
            resp.set_header("Content-Range", f"bytes */{error.size}")
        case UploadOutOfOrder():
            resp.set_headers({"Location": req.path, "Range": upload_range(error.offset)})
        case Unauthorized():
            resp.set_header("WWW-Authenticate", error.challenge)
        case TooManyRequests():
            resp.set_header("Retry-After", "1")
        case SwitchedOff():
            resp.set_header("Allow", "GET, HEAD")


def _http(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    """What Falcon itself refuses: no route, wrong method, bad request."""
    resp.status = error.status
    resp.set_headers(dict(error.headers or {}))
    resp.content_type = falcon.MEDIA_JSON
    resp.data = document(Unsupported.code, error.title, error.description or "")
    drain(req)


def _storage(req: falcon.Request, resp: falcon.Response, error: StorageError, params: dict[str, Any]) -> None:
    _log.error("%s %r: %s", req.method, req.path, error)  # %r: a path may hold line breaks
    _take_back(resp)
    resp.status = falcon.HTTP_507 if isinstance(error, StorageFull) else falcon.HTTP_500
    resp.content_type = falcon.MEDIA_TEXT
    resp.text = "the registry's storage failed; its log says how\n"
    drain(req)


def _unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    """A fault of ours: the log gets the traceback, the client none of it."""
    _log.exception("%s %r", req.method, req.path, exc_info=error)
    _take_back(resp)
    resp.status = falcon.HTTP_500
    resp.content_type = falcon.MEDIA_TEXT
    resp.text = "internal error; the registry's log says more\n"
    drain(req)
