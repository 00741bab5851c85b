"""The CA that clients of this registry have to trust."""

from collections.abc import Callable

import falcon

PEM = "application/x-pem-file"


class CACertificate:
    """`/ca.crt`, for everybody: with it a client can check who answers, so it is compared by its fingerprint."""

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        self._read = read

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The certificate as PEM; 404 where there is no TLS, or its CA is not known."""
        content = self._read()
        if content is None:
            raise falcon.HTTPNotFound(description="this registry knows of no CA that clients would need")
        resp.content_type = PEM
        resp.data = content

    on_head = on_get
