"""What the registry counts, for Prometheus."""

from collections.abc import Callable

import falcon

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """`/metrics`, for everybody who may pull."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = TEXT
        resp.data = self._read()

    on_head = on_get
