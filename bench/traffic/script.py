"""What a client of a registry does, as a generator: it yields requests to make at once, and gets their bodies."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from bench.errors import BenchFailed
from bench.traffic.endpoint import Request

Script = Generator[Sequence[Request], Sequence[bytes], None]

CHUNK = 4 * 1024 * 1024
"""What is asked for at a time where layers are fetched in parts."""
Platform = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image as a node names it; `upstream` is the registry that ours stands in for."""

    repository: str
    tag: str
    upstream: str = "docker.io"


@dataclass(frozen=True, slots=True)
class Pulling:
    """How nodes pull: whether layers are asked for in parts, and for which platform."""

    in_parts: bool = False
    platform: Platform = ("linux", "amd64")


def pull(wanted: Wanted, how: Pulling, known: set[str]) -> Script:
    """One pull as containerd makes it: resolve, index, manifest, then config and layers that are not in `known`.

    Raises:
        BenchFailed: what the registry answers leads to no image for the platform.
    """
    prefix, query = f"/v2/{wanted.repository}", f"?ns={quote(wanted.upstream)}"
    yield [Request("HEAD", f"{prefix}/manifests/{wanted.tag}{query}")]
    [body] = yield [Request("GET", f"{prefix}/manifests/{wanted.tag}{query}", keeps=True)]
    document = _document(body, wanted)
    if "manifests" in document:
        child = chosen(document, wanted, how.platform)
        [body] = yield [Request("GET", f"{prefix}/manifests/{child}{query}", keeps=True)]
        document = _document(body, wanted)
    missing = [blob for blob in blobs(document) if blob[0] not in known]
    known.update(digest for digest, _ in missing)
    requests = [
        part for digest, size in missing for part in _parts(f"{prefix}/blobs/{digest}{query}", size, how.in_parts)
    ]
    if requests:
        yield requests


def blobs(document: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """Digest and size of the config and the layers that a manifest names."""
    config, layers = document.get("config"), document.get("layers")
    for descriptor in (config, *(layers if isinstance(layers, list) else ())):
        if isinstance(descriptor, dict):
            yield str(descriptor["digest"]), int(descriptor["size"])


def chosen(index: Mapping[str, object], wanted: Wanted, platform: Platform) -> str:
    """The digest of the manifest for `platform`; of the first one where none says for which it is."""
    children = index["manifests"]
    assert isinstance(children, list)
    for child in children:
        found = child.get("platform") or {}
        if (found.get("os"), found.get("architecture")) == platform:
            return str(child["digest"])
    if children and not any(child.get("platform") for child in children):
        return str(children[0]["digest"])
    raise BenchFailed(f"{wanted.repository}:{wanted.tag} has no image for {'/'.join(platform)}")


def _parts(path: str, size: int, in_parts: bool) -> Iterable[Request]:  # noqa: FBT001
    if not in_parts or size <= CHUNK:
        return [Request("GET", path, size)]
    return [Request("GET", path, min(CHUNK, size - first), first) for first in range(0, size, CHUNK)]


def _document(body: bytes, wanted: Wanted) -> Mapping[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BenchFailed(f"{wanted.repository}:{wanted.tag} is no manifest: {error}") from error
    if not isinstance(document, dict):
        raise BenchFailed(f"{wanted.repository}:{wanted.tag} is no manifest")
    return document
