"""Tag listing (end-8)."""

from contextlib import suppress

import falcon

from registry.api.base import answer_page, page_size
from registry.api.upstream import other_name
from registry.oci.errors import NameUnknown
from registry.oci.reference import RepositoryName, Tag
from registry.storage.store import Store


class TagList:
    """The tags of one repository, bytewise sorted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: RepositoryName) -> None:
        """One more than asked for is read: it tells whether a next page follows."""
        limit = page_size(req)
        tags = self._find(req, name, req.get_param("last") or "", None if limit is None else limit + 1)
        answer_page(req, resp, {"name": name}, "tags", tags, limit)

    on_head = on_get

    def _find(self, req: falcon.Request, name: RepositoryName, last: str, limit: int | None) -> list[Tag]:
        try:
            return self._store.list_tags(name, last, limit)
        except NameUnknown:
            other = other_name(req, name)
            if other is not None:
                with suppress(NameUnknown):
                    return self._store.list_tags(other, last, limit)
            raise
