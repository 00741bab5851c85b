"""Conditional requests (RFC 9110 section 13): a client gets, replaces or removes only what it has in mind."""

import falcon

from registry.oci.errors import PreconditionFailed
from registry.storage.condition import Condition


def condition(req: falcon.Request) -> Condition:
    """What must be there for a change to be made; our ETags are digests in quotes, always strong."""
    return Condition(_strong(req.get_header("If-Match")), _etags(req.get_header("If-None-Match")))


def require_match(req: falcon.Request, etag: str) -> None:
    """For reading.

    Raises:
        PreconditionFailed: If-Match names something else than what the client would get.
    """
    wanted = _strong(req.get_header("If-Match"))
    if wanted is not None and wanted.isdisjoint(("*", etag)):
        raise PreconditionFailed(f"it is {etag}")


def is_known(req: falcon.Request, etag: str) -> bool:
    """Whether If-None-Match names what the client would get."""
    names = _etags(req.get_header("If-None-Match"))
    return names is not None and not names.isdisjoint(("*", etag))


def _etags(header: str | None) -> frozenset[str] | None:
    """Without quotes and weakness; `*` stays."""
    if header is None:
        return None
    return frozenset(tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))


def _strong(header: str | None) -> frozenset[str] | None:
    """Those that stand for the very bytes, which is what If-Match compares."""
    if header is None:
        return None
    return _etags(",".join(tag for tag in header.split(",") if not tag.strip().startswith("W/")))
