"""Who may speak plain HTTP, and the certificates for all others."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from registry.pki.certificates import Certificates


@dataclass(frozen=True, slots=True)
class Transport:
    """`plain_http` is `loopback`, `any` or `off`."""

    certificates: Certificates | None = None
    plain_http: str = "any"

    def takes_plain(self, client: str) -> bool:
        """Whether a client at this address may do without TLS."""
        return self.plain_http == "any" or (self.plain_http == "loopback" and _is_loopback(client))


@lru_cache(maxsize=4096)
def _is_loopback(client: str) -> bool:
    address = ip_address(client.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
