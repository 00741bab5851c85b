"""A registry over a store whose content the tests know."""

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from bench.layout import index
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.store import Image, Store
from tests.conformance.repository import Repository
from tests.conftest import Server, serving
from tests.images import publish, small_image, write_blob

TAGS = ("1.0", "2.0", "A", "_x", "latest", "v1.10", "v1.9")
SIZES = (0, 1, 4096, 64 * 1024 - 1, 64 * 1024, 1_500_000)


@dataclass(frozen=True)
class Registry:
    """The server, a client for it, and what it serves in the repository `library/app`."""

    server: Server
    client: httpx.Client
    image: Digest
    sha512_image: Digest
    multi: Digest
    subject: Digest
    blobs: dict[int, bytes]
    """Content by size."""

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.client.get(path, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("conformance")
    store = Store.open([folder / "store"])
    known = _fill(store)
    store.close()
    with (
        serving("-s", folder / "store", "--workers", "2", log=folder / "log") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        yield Registry(server, client, **known)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry of two workers to which anybody may push."""
    folder = tmp_path_factory.mktemp("writable")
    options = ("-s", folder / "store", "--push", "anonymous", "--workers", "2")
    with serving(*options, log=folder / "log") as server:
        yield server
    assert "Traceback" not in server.log.read_text(), "no request may end in a fault of ours"


@pytest.fixture(scope="session")
def client(writable: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=writable.url, timeout=30) as client:
        yield client


_numbers = itertools.count()


@pytest.fixture
def repository(writable: Server, client: httpx.Client) -> Repository:
    """One that does not exist yet."""
    return Repository(writable, client, f"test/{next(_numbers)}")


@pytest.fixture
def other(writable: Server, client: httpx.Client) -> Repository:
    """A second one, in the same registry."""
    return Repository(writable, client, f"test/{next(_numbers)}")


@pytest.fixture
def document(repository: Repository) -> dict[str, object]:
    """An image manifest whose blobs are there."""
    tree = small_image()
    for blob in tree.below:
        repository.push_blob(b"".join(blob.content))
    return dict(json.loads(b"".join(tree.root.content)))


def _fill(store: Store) -> dict[str, object]:
    tree = small_image()
    roots = {tag: publish(store, tree, f"library/app:{tag}") for tag in TAGS}
    blobs = {size: os.urandom(size) for size in SIZES}
    for content in blobs.values():
        _link(store, content)
    subject = Digest.parse(tree.root.digest)
    descriptor = tree.root.descriptor()
    publish(store, small_image(subject=descriptor, artifactType="application/vnd.sbom+json"), "library/app:sbom")
    publish(store, small_image(subject=descriptor, annotations={"kind": "signature"}), "library/app:sig")
    return {
        "image": roots["1.0"],
        "sha512_image": publish(store, small_image(), "library/sha512:1", "sha512"),
        "multi": publish(store, index([small_image(), small_image(arch="arm64")]), "library/multi:1"),
        "subject": subject,
        "blobs": blobs,
    }


def _link(store: Store, content: bytes) -> None:
    """A blob of any size in `library/app`, by an image of which it is the only layer."""
    blob, config = write_blob(store, content), write_blob(store, b'{"os":"linux"}')
    document = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config.digest}","size":{config.size}}},'
        f'"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{blob.digest}","size":{blob.size}}}]}}'
    ).encode()
    digest = Digest.of(document)
    reference = Reference.parse(f"library/app:size-{len(content)}")
    store.publish(Image(reference, digest, ((digest, Manifest.parse(document)),), (blob, config)))
