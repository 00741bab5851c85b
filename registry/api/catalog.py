"""The repositories of the registry: not in the specification, expected by its clients."""

import falcon

from registry.api.base import answer_page, page_size
from registry.storage.store import Store


class Catalog:
    """`/v2/_catalog`, with the paging of end-8."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        limit = page_size(req)
        names = self._store.list_repositories(req.get_param("last") or "", None if limit is None else limit + 1)
        answer_page(req, resp, {}, "repositories", names, limit)

    on_head = on_get
