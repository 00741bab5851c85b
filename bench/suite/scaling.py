"""What a request costs with more workers, and with many more manifests in the index."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.fleet import FleetImage
from bench.layout import Blob, Tree, index, manifest
from bench.peers import ours, publish_images, serving_ours
from bench.results import Figure
from bench.suite.field import Field
from bench.suite.rates import measured
from bench.traffic.endpoint import Endpoint
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.store import Store

WORKERS = (1, 2, 4, 8)
FEW = 10
_CHILDREN = 1000
"""Manifests that are published in one transaction, below one index."""


def workers(field: Field) -> Iterator[Figure]:
    """Ours with ever more workers, over the store that is served."""
    manifest_target, storage = field.sample.targets[0], field.folder / field.ours.name / "storage"
    for number in range(field.plan.rounds):
        for count in field.plan.steps(WORKERS):
            own = _made(field.folder / "workers")
            with serving_ours(storage, own, count) as url:
                found = measured(Endpoint.parse(url), manifest_target, 64, field.plan.seconds)
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
        for number in range(max(3, field.plan.rounds)):
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
