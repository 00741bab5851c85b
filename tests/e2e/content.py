"""What a client got: a manifest or index and all that it names, each byte checked against its digest."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.layout import CONFIG, INDEX, LAYER, MANIFEST, TITLE
from tests.conftest import Server

UNPACKED_LAYER = LAYER.removesuffix("+gzip")
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A descriptor: it promises a type, a digest and a size."""

    media_type: str
    digest: str
    size: int
    title: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What a descriptor points at."""

    pointer: Pointer
    body: bytes


Fetch = Callable[[Pointer], bytes]
Tree = dict[str, Content]
"""By digest: the root first, then what it names, in order."""


def sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def walk(root: Pointer, fetch: Fetch) -> Tree:
    """Fetch the root and all below it; fails where content is not what its descriptor promises."""
    body = fetch(root)
    assert (sha256(body), len(body)) == (root.digest, root.size), root
    tree = {root.digest: Content(root, body)}
    for pointer in pointers(body) if root.media_type in (MANIFEST, INDEX) else ():
        tree |= walk(pointer, fetch)
    return tree


def pointers(body: bytes) -> Iterator[Pointer]:
    """The descriptors in a manifest or index: of children, or of the config and then the layers."""
    document = json.loads(body)
    config = [document["config"]] if "config" in document else []
    for one in (*document.get("manifests", ()), *config, *document.get("layers", ())):
        title = one.get("annotations", {}).get(TITLE, "")
        yield Pointer(one["mediaType"], one["digest"], one["size"], title)


def layout_tree(layout: Path) -> Tree:
    """The only image of an OCI layout on disk."""
    (root,) = pointers((layout / "index.json").read_bytes())
    return walk(root, lambda pointer: (layout / "blobs" / pointer.digest.replace(":", "/")).read_bytes())


def served_tree(server: Server, repository: str, tag: str) -> Tree:
    """An image over HTTP, as every client walks it: the tag, then digests only."""
    accept, place = {"Accept": f"{MANIFEST}, {INDEX}"}, f"{server.url}/v2/{repository}/"
    with httpx.Client(base_url=place, headers=accept, verify=server.trust) as client:

        def fetch(pointer: Pointer) -> bytes:
            kind = "manifests" if pointer.media_type in (MANIFEST, INDEX) else "blobs"
            return client.get(f"{kind}/{pointer.digest}").raise_for_status().content

        head = client.head(f"manifests/{tag}").raise_for_status().headers
        digest, size = head["Docker-Content-Digest"], int(head["Content-Length"])
        return walk(Pointer(head["Content-Type"], digest, size), fetch)


def root_digest(tree: Tree) -> str:
    return next(iter(tree))


def platforms(tree: Tree) -> tuple[str, ...]:
    """Of every image in the tree, as its config says."""
    configs = [json.loads(one.body) for one in tree.values() if one.pointer.media_type == CONFIG]
    return tuple(f"{config['os']}/{config['architecture']}" for config in configs)


def diff_ids(tree: Tree) -> tuple[str, ...]:
    """The digests of the unpacked layers of an image of one platform."""
    layers = [one.body for one in tree.values() if one.pointer.media_type in (LAYER, UNPACKED_LAYER)]
    return tuple(sha256(gzip.decompress(body) if body.startswith(GZIP_MAGIC) else body) for body in layers)
