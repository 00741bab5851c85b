"""What clients asked for and did not get: one record a name, and who keeps a place when there are too many."""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Self

import orjson

from registry.oci.reference import RepositoryName, TagOrDigest, parse_tag_or_digest

_NEIGHBOURS = 64  # an IPv6 client may call itself by any address of its network


@dataclass(frozen=True, slots=True)
class Wanted:
    """A manifest by the name under which a client asked for it."""

    upstream: str | None
    """The registry that the client thinks it speaks to (`ns=`), such as docker.io."""
    repository: RepositoryName
    reference: TagOrDigest

    def __str__(self) -> str:
        separator = ":" if isinstance(self.reference, str) else "@"
        host = f"{self.upstream}/" if self.upstream else ""
        return f"{host}{self.repository}{separator}{self.reference}"


@dataclass(frozen=True, slots=True)
class Miss:
    """A manifest that was asked for and is not there; times are seconds since 1970."""

    wanted: Wanted
    count: int
    first: float
    last: float
    client: str
    """Who asked last."""

    def __add__(self, other: Self) -> Self:
        """Both, of the same name, as one."""
        newest = max(self, other, key=attrgetter("last"))
        return replace(newest, count=self.count + other.count, first=min(self.first, other.first))

    def to_row(self) -> bytes:
        """As the index keeps it."""
        wanted = self.wanted
        names = (wanted.upstream, str(wanted.repository), str(wanted.reference))
        return orjson.dumps((*names, self.count, self.first, self.last, self.client))

    @classmethod
    def from_row(cls, row: bytes) -> Self:
        """What `to_row` made this of."""
        upstream, repository, reference, count, first, last, client = orjson.loads(row)
        wanted = Wanted(upstream, RepositoryName(repository), parse_tag_or_digest(reference))
        return cls(wanted, count, first, last, client)


def keep_fairly(misses: Iterable[Miss], limit: int, each: int) -> list[Miss]:
    """The `limit` records that stay: clients take turns, each with its newest first, `each` times at most.

    So whoever asks for names at random pushes out its own records, never those of a client that has fewer.
    """
    turns: Counter[str] = Counter()
    ranked = []
    for miss in sorted(misses, key=attrgetter("last"), reverse=True):
        asker = _asker(miss.client)
        if turns[asker] < each:
            ranked.append((turns[asker], miss))
            turns[asker] += 1
    ranked.sort(key=itemgetter(0))
    return [miss for _, miss in ranked[:limit]]


@lru_cache(maxsize=4096)
def _asker(client: str) -> str:
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if address.version == 4:
        return client
    return str(address.ipv4_mapped or ipaddress.ip_network((address, _NEIGHBOURS), strict=False))
