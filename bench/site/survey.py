"""What a registry serves, as far as nodes of one platform would pull it: names, blobs, bytes."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from bench.errors import BenchFailed
from bench.site.entry import reason
from bench.traffic.endpoint import ACCEPT
from bench.traffic.script import Platform, Wanted, blobs, chosen

_PAGE = 500
_REQUESTS = 3
"""For an image, beside its blobs: by tag twice, and the platform's manifest."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one node that wants everything has to pull."""

    images: tuple[Wanted, ...]
    blobs: Mapping[str, int]
    """Sizes, by digest: a node takes each of them once."""
    passed_over: int
    """Names with nothing for the platform, or whose manifest is not there."""

    @property
    def bytes(self) -> int:
        return sum(self.blobs.values())

    @property
    def requests(self) -> int:
        return _REQUESTS * len(self.images) + len(self.blobs)


def survey(client: httpx.Client, platform: Platform, share: float) -> Survey:
    """Look at every name; requests keep the registry busy for no more than `share` of the time.

    Raises:
        BenchFailed: it does not list its names, or has none.
    """
    images, found, passed_over = [], dict[str, int](), 0
    try:
        for wanted in _names(client):
            began = time.monotonic()
            content = _content(client, wanted, platform)
            if content is None:
                passed_over += 1
            else:
                images.append(wanted)
                found.update(content)
            time.sleep((time.monotonic() - began) * (1 / share - 1))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise BenchFailed(f"{client.base_url} cannot be surveyed: {reason(error)}") from error
    if not images:
        raise BenchFailed(f"{client.base_url} has nothing for {'/'.join(platform)}: load a bundle, or say --platform")
    return Survey(tuple(images), found, passed_over)


def _names(client: httpx.Client) -> Iterator[Wanted]:
    for repository in _listed(client, "/v2/_catalog", "repositories"):
        for tag in _listed(client, f"/v2/{repository}/tags/list", "tags"):
            yield Wanted(repository, tag)


def _listed(client: httpx.Client, path: str, field: str) -> Iterator[str]:
    """All pages of a list (distribution-spec, end-8b)."""
    place: str | None = f"{path}?n={_PAGE}"
    while place is not None:
        answer = client.get(place).raise_for_status()
        yield from answer.json()[field] or ()
        place = answer.links.get("next", {}).get("url")


def _content(client: httpx.Client, wanted: Wanted, platform: Platform) -> Mapping[str, int] | None:
    document = _manifest(client, wanted, wanted.tag)
    if document is not None and "manifests" in document:
        try:
            child = chosen(document, wanted, platform)
        except BenchFailed:
            return None
        document = _manifest(client, wanted, child)
    return None if document is None else dict(blobs(document)) or None


def _manifest(client: httpx.Client, wanted: Wanted, name: str) -> Mapping[str, object] | None:
    """None where it is gone, or was never there: an index may name more than a registry has."""
    answer = client.get(f"/v2/{wanted.repository}/manifests/{name}", headers={"Accept": ACCEPT})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    document = answer.raise_for_status().json()
    if not isinstance(document, dict):
        raise BenchFailed(f"{wanted.repository}:{name} is no manifest")
    return document
