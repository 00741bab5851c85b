"""`/v2/` itself (end-1), and what listings share: paging."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import falcon
import orjson

from registry.api.upstream import upstream
from registry.oci.errors import Unsupported

_PAGE_SIZE = re.compile(r"[0-9]{1,19}")
_LARGEST_PAGE = 10**9  # clients that want everything ask for the largest number that they know


class Base:
    """end-1: tells a client that it speaks to a registry."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("Docker-Distribution-API-Version", "registry/2.0")  # docker before 1.10 wants it
        resp.data = b"{}"

    on_head = on_get


def upstream_query(req: falcon.Request) -> dict[str, str]:
    """What the link to a next page must repeat, lest that page come from another repository."""
    host = upstream(req)
    return {} if host is None else {"ns": host}


def page_size(req: falcon.Request) -> int | None:
    """The `n` of a listing, None where the whole of it is asked for.

    Raises:
        Unsupported: it is no plain decimal number.
    """
    text = req.get_param("n")
    if text is None:
        return None
    if not _PAGE_SIZE.fullmatch(text):
        raise Unsupported(f"n={text[:20]!r} is not a number of entries")
    return min(int(text), _LARGEST_PAGE)


def answer_page(
    req: falcon.Request,
    resp: falcon.Response,
    fields: Mapping[str, str],
    key: str,
    entries: Sequence[str],
    limit: int | None,
) -> None:
    """One page of a listing; `entries` holds one more than `limit` where a next page follows (end-8b)."""
    page = entries if limit is None else entries[:limit]
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps({**fields, key: [str(entry) for entry in page]})
    if page and len(entries) > len(page):
        query = urlencode({"n": limit, "last": page[-1], **upstream_query(req)})
        resp.set_header("Link", f'<{quote(req.path)}?{query}>; rel="next"')
