"""Referrers (end-12): what was pushed about a manifest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import falcon
import orjson

from registry.api.base import upstream_query
from registry.api.upstream import other_name
from registry.oci.digest import Digest
from registry.oci.manifest import SIZE_LIMIT
from registry.oci.mediatype import OCI_INDEX
from registry.oci.reference import RepositoryName
from registry.storage.index import Snapshot
from registry.storage.store import Store

# The answer is an index, and an index must fit where a manifest does; some of it is not entries.
_PAGE_BYTES = SIZE_LIMIT - 1024


class Referrers:
    """The manifests of one repository that name a subject, as an image index; never a 404."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
        """Filtered where `artifactType` is given, which the answer then says; in pages where one is too large."""
        last, wanted = req.get_param("last"), req.get_param("artifactType")
        after = None if last is None else Digest.parse(last)
        kept = {}
        if wanted is not None:
            # A '+' arrives as a space from clients that do not escape it; no media type holds a space.
            kept["artifactType"] = wanted.replace(" ", "+")
            resp.set_header("OCI-Filters-Applied", "artifactType")
        with self._store.snapshot() as snapshot:
            rows = snapshot.referrer_rows(_holder(req, snapshot, name, digest), digest, after)
            page = _Page.fill(_of_type(rows, kept.get("artifactType")))
        if page.next_after is not None:
            query = urlencode({**kept, "last": str(page.next_after), **upstream_query(req)})
            resp.set_header("Link", f'<{quote(req.path)}?{query}>; rel="next"')
        resp.content_type = OCI_INDEX
        resp.data = orjson.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": page.entries})

    on_head = on_get


@dataclass(slots=True)
class _Page:
    """Descriptors for one answer, and behind which of them the next one goes on, if there is more."""

    entries: list[orjson.Fragment] = field(default_factory=list)
    next_after: Digest | None = None

    @classmethod
    def fill(cls, rows: Iterable[tuple[Digest, bytes]]) -> "_Page":
        """Read no row behind the first that has no room; one always has, or paging would never end."""
        page, size, last = cls(), 0, None
        for digest, row in rows:
            size += len(row) + 1
            if size > _PAGE_BYTES and last is not None:
                page.next_after = last
                break
            page.entries.append(orjson.Fragment(row))
            last = digest
        return page


def _holder(req: falcon.Request, snapshot: Snapshot, name: RepositoryName, subject: Digest) -> RepositoryName:
    """Whose referrers are meant: the same for every page, whatever is behind the last one."""
    other = other_name(req, name)
    return name if other is None or any(snapshot.referrer_rows(name, subject)) else other


def _of_type(rows: Iterable[tuple[Digest, bytes]], wanted: str | None) -> Iterator[tuple[Digest, bytes]]:
    """Those whose artifact type is `wanted`, if any is."""
    for digest, row in rows:
        if wanted is None or orjson.loads(row).get("artifactType") == wanted:
            yield digest, row
