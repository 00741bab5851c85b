"""Where a registry is, as an operator writes it, and which addresses may be spoken to in plain text."""

import ipaddress
from dataclasses import dataclass
from typing import Self

import httpx

from registry.oci.errors import NameInvalid
from registry.oci.reference import RepositoryName
from registry.transfer.errors import PlaceInvalid
from registry.transfer.text import printable

_SCHEMES = ("docker", "http", "https")


@dataclass(frozen=True, slots=True)
class Address:
    """A registry, and the path in front of every repository there; scheme `docker` leaves the protocol open."""

    scheme: str
    host: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`https://host[:port][/prefix]`, or `docker://…`, which leaves the protocol open.

        Raises:
            PlaceInvalid: it is something else.
        """
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise PlaceInvalid(f"{printable(text)} is no address: {error}") from error
        if url.scheme not in _SCHEMES or not url.host or url.query or url.fragment:
            raise PlaceInvalid(f"{printable(text)} is no registry: write https://HOST[:PORT][/PREFIX]")
        if url.userinfo:
            raise PlaceInvalid(
                f"no password belongs into an address: use --username with --password-file for {url.host}"
            )
        prefix = url.path.strip("/")
        try:
            return cls(url.scheme, url.netloc.decode(), RepositoryName.parse(prefix) if prefix else "")
        except NameInvalid as error:
            raise PlaceInvalid(f"{printable(prefix)!r} cannot stand in front of a repository's name") from error

    def origin(self, scheme: str) -> httpx.URL:
        """Where requests go."""
        return httpx.URL(f"{scheme}://{self.host}")

    def full_name(self, name: RepositoryName) -> RepositoryName:
        """What the registry calls a repository."""
        return RepositoryName.parse(f"{self.prefix}/{name}") if self.prefix else name

    def short_name(self, full: RepositoryName) -> RepositoryName | None:
        """What we call a repository of the registry; None for one outside of the prefix."""
        if not self.prefix:
            return full
        return RepositoryName(full[len(self.prefix) + 1 :]) if full.startswith(f"{self.prefix}/") else None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{'/' if self.prefix else ''}{self.prefix}"


def is_address(text: str) -> bool:
    """Whether a place is written like a registry's address, not like a directory."""
    return "://" in text


def may_be_plain(url: httpx.URL, *, insecure: bool) -> bool:
    """Whether plain http may be spoken there: on this machine, or where the operator said so."""
    if insecure or url.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False


def require_safe(url: httpx.URL, *, insecure: bool) -> None:
    """Refuse any address that is neither https nor allowed to be plain.

    Raises:
        PlaceInvalid: it is not.
    """
    if url.scheme == "https" or (url.scheme == "http" and may_be_plain(url, insecure=insecure)):
        return
    where = printable(f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}")
    raise PlaceInvalid(f"{where} is not encrypted: use https, or --insecure if the network in between is trusted")
