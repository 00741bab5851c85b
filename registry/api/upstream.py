"""The `ns` of a query: the registry that a client asks us in place of (containerd, as a mirror)."""

import re

import falcon

from registry.oci.reference import RepositoryName
from registry.storage.ledger import short_name

UPSTREAM = "k0rdentd.upstream"
"""The key in the WSGI environment, and thus `%({k0rdentd.upstream}e)s` in an access log's format."""

_HOST = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")


class Upstream:
    """Middleware: notes the upstream for the log and for resources; what is no host's name is passed over."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.query_string:
            host = (req.get_param("ns") or "").lower()
            if _HOST.fullmatch(host):
                req.env[UPSTREAM] = host


def upstream(req: falcon.Request) -> str | None:
    """The upstream's host and port, as the client said it."""
    host: str | None = req.env.get(UPSTREAM)
    return host


def other_name(req: falcon.Request, name: RepositoryName) -> RepositoryName | None:
    """Under which name we may have what the upstream has as `name`: for reading alone, a push goes where it says."""
    return short_name(upstream(req), name)
