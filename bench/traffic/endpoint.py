"""Where a generator connects to, and the bytes that it sends there."""

import socket
import ssl
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit

from bench.errors import BenchFailed
from registry.transfer.transport import Security

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*MANIFEST_TYPES, "*/*"))
_PATIENCE = 30.0
TRUSTING = Security()
"""What the system trusts."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, over TLS whom to trust there, and what requests carry to be let in."""

    host: str
    port: int
    tls: bool = False
    security: Security = TRUSTING
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, security: Security = TRUSTING) -> Self:
        """The server that `url` names.

        Raises:
            BenchFailed: it names none.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise BenchFailed(f"{url}: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BenchFailed(f"{url} is no address: give http://HOST:PORT or https://HOST:PORT")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, security)

    def let_in(self, authorization: str | None) -> Self:
        """The same, for requests that carry this."""
        return replace(self, authorization=authorization)

    @property
    def authority(self) -> str:
        """What stands in a Host header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def trust(self) -> ssl.SSLContext | None:
        """What a connection is made with; none without TLS."""
        return self.security.context() if self.tls else None

    def connect(self, trust: ssl.SSLContext | None) -> socket.socket:
        """A new connection, its handshake done.

        Raises:
            BenchFailed: nobody answers there, or not as `trust` demands.
        """
        try:
            plain = socket.create_connection((self.host, self.port), _PATIENCE)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain if trust is None else trust.wrap_socket(plain, server_hostname=self.host)
        except OSError as error:
            raise BenchFailed(f"cannot connect to {self.authority}: {error}") from error


@dataclass(frozen=True, slots=True)
class Request:
    """A request without a body, and what its answer must be; `size` of the body, where it is known before."""

    method: str
    path: str
    size: int | None = None
    first: int | None = None
    """The byte that the answer shall begin with; as many as `size` follow. None asks for all."""
    keeps: bool = False
    """Whether the body is wanted; else its bytes are counted and thrown away."""

    @property
    def status(self) -> int:
        """What a good answer has."""
        return 200 if self.first is None else 206

    def wire(self, endpoint: Endpoint) -> bytes:
        """As it is sent."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {endpoint.authority}", f"Accept: {ACCEPT}"]
        if endpoint.authorization is not None:
            lines.append(f"Authorization: {endpoint.authorization}")
        if self.first is not None and self.size is not None:
            lines.append(f"Range: bytes={self.first}-{self.first + self.size - 1}")
        return "\r\n".join((*lines, "", "")).encode()
