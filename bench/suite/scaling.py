"""What a request costs with more workers, and with many more manifests in the index."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.fleet import FleetImage
from bench.layout import Blob, Tree, index, manifest
from bench.peers import ours, publish_images, serving_ours
from bench.results import Figure
from bench.spread import rotated
from bench.suite.field import Field
from bench.suite.rates import measured
from bench.traffic.endpoint import Endpoint
from bench.traffic.flood import flood
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.store import Store

WORKERS = (1, 2, 4, 8)
FEW = 10
_CONNECTIONS = 64
_WARM_UP = 0.3
_ROUNDS = 3
"""At least: a growth of a tenth is less than what two rounds differ by on a busy machine."""
_CHILDREN = 1000
"""Manifests that are published in one transaction, below one index."""


def workers(field: Field) -> Iterator[Figure]:
    """Ours with ever more workers, over the store that is served; all of them run, and are asked by turns."""
    manifest_target, storage = field.sample.targets[0], field.folder / field.ours.name / "storage"
    with ExitStack() as stack:
        endpoints = {}
        for count in field.plan.steps(WORKERS):
            url = stack.enter_context(serving_ours(storage, _made(field.folder / f"workers-{count}"), count))
            endpoints[count] = Endpoint.parse(url)
            # What each worker does once in its life must not count as what a request costs.
            flood(endpoints[count], manifest_target.request, _CONNECTIONS, _WARM_UP)
        for number in range(max(_ROUNDS, field.plan.rounds)):
            for count in rotated(tuple(endpoints), number):
                found = measured(endpoints[count], manifest_target, _CONNECTIONS, field.plan.seconds)
                yield field.figure(("workers", "HTTP manifest", field.ours.name, number), *found, count)


def index_size(field: Field) -> Iterator[Figure]:
    """Ours with few manifests and with many."""
    manifest_target, many = field.sample.targets[0], field.plan.manifests
    with ExitStack() as stack:
        urls = {}
        for count in (FEW, many):
            own = _made(field.folder / f"index-{count}")
            _fill(own / "storage", count)
            urls[count] = stack.enter_context(ours(field.sample, own))
        for number in range(max(_ROUNDS, field.plan.rounds)):
            for count, url in urls.items():
                found = measured(Endpoint.parse(url), manifest_target, field.plan.connections, field.plan.seconds)
                yield field.figure(("index", "HTTP manifest", field.ours.name, number), *found, count)


def _fill(storage: Path, count: int) -> None:
    """A new store of so many manifests, each of its own, below as few indexes as can be."""
    store = Store.open([storage])
    try:
        for first in range(0, count, _CHILDREN):
            publish_images(store, [_bulk(first, min(_CHILDREN, count - first))])
    finally:
        store.close()


def _bulk(first: int, count: int) -> FleetImage:
    empty = Blob.of((b"{}",), "application/vnd.oci.empty.v1+json")
    trees = [manifest(empty, [empty.descriptor()], [empty], annotations={"n": str(first + n)}) for n in range(count)]
    root = index([Tree(tree.root, ()) for tree in trees]).root
    documents = tuple(
        (Digest.parse(blob.digest), Manifest.parse(b"".join(blob.content), blob.media_type))
        for blob in (root, *(tree.root for tree in trees))
    )
    reference = Reference.parse(f"bench/bulk-{first % 7}:{first}")
    return FleetImage(reference, documents, ((Digest.parse(empty.digest), b"{}"),))


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
