"""Referrers (end-12): what was pushed about a manifest."""

import itertools
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import falcon
import orjson

from registry.api.base import upstream_query
from registry.api.upstream import other_name
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.manifest import SIZE_LIMIT
from registry.oci.mediatype import OCI_INDEX
from registry.oci.reference import RepositoryName
from registry.storage.store import Store

# The answer is an index, and an index must fit where a manifest does; some of it is not entries.
_PAGE_BYTES = SIZE_LIMIT - 1024


class Referrers:
    """The manifests of one repository that name a subject, as an image index; never a 404."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName, digest: Digest) -> None:
        """Filtered where `artifactType` is given, which the answer then says; in pages where one is too large."""
        last = req.get_param("last") or ""
        referrers = [each for each in self._find(req, name, digest) if str(each.digest) > last]
        wanted = req.get_param("artifactType")
        if wanted is not None:
            # A '+' arrives as a space from clients that do not escape it; no media type holds a space.
            wanted = wanted.replace(" ", "+")
            referrers = [referrer for referrer in referrers if referrer.artifact_type == wanted]
            resp.set_header("OCI-Filters-Applied", "artifactType")
        rows = [orjson.dumps(each.to_json()) for each in referrers]
        count = _fitting(rows)
        if count < len(rows):
            kept = {} if wanted is None else {"artifactType": wanted}
            query = urlencode({**kept, "last": str(referrers[count - 1].digest), **upstream_query(req)})
            resp.set_header("Link", f'<{quote(req.path)}?{query}>; rel="next"')
        resp.content_type = OCI_INDEX
        manifests = [orjson.Fragment(row) for row in rows[:count]]
        resp.data = orjson.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})

    on_head = on_get

    def _find(self, req: falcon.Request, name: RepositoryName, subject: Digest) -> list[Descriptor]:
        referrers = self._store.list_referrers(name, subject)
        other = None if referrers else other_name(req, name)
        return referrers if other is None else self._store.list_referrers(other, subject)


def _fitting(rows: Sequence[bytes]) -> int:
    """How many of them one page holds: one at least, or paging would never end."""
    sizes = itertools.accumulate(len(row) + 1 for row in rows)
    return max(1, sum(size <= _PAGE_BYTES for size in sizes))
