"""A store of 100 000 manifests is as quick to start with as a small one."""

import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from bench.layout import CONFIG, LAYER, MANIFEST
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName, Tag
from registry.storage.blobs import StoredBlob
from registry.storage.index import Change, Index
from registry.storage.layout import Layout
from registry.storage.store import Store
from tests.conftest import free_port
from tests.faults.processes import kill_session, start, wait_until
from tests.images import write_blob

MANIFESTS = 100_000
REPOSITORIES = 1_000
IN_A_CHANGE = 20_000
BOUND = 5.0
DOCUMENT = (
    '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"%s","size":2},'
    '"layers":[{"mediaType":"%s","digest":"%s","size":2}],"annotations":{"number":"%d"}}'
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 100 tags in each of 1000 repositories."""
    root = tmp_path_factory.mktemp("large") / "store"
    store = Store.open([root])
    blob = write_blob(store, b"{}")
    store.close()
    index = Index(Layout(root).index)
    for first in range(0, MANIFESTS, IN_A_CHANGE):
        with index.change() as change:
            put_manifests(change, blob, range(first, first + IN_A_CHANGE))
    index.close()
    return root


def put_manifests(change: Change, blob: StoredBlob, numbers: Iterable[int]) -> None:
    change.put_blob(blob, 0)
    for number in numbers:
        body = (DOCUMENT % (MANIFEST, CONFIG, blob.digest, LAYER, blob.digest, number)).encode()
        name, digest = RepositoryName(f"team/app-{number % REPOSITORIES:03}"), Digest.of(body)
        if number < REPOSITORIES:
            change.link_blob(name, blob.digest)
        change.put_manifest(name, digest, Manifest.parse(body))
        change.put_tag(name, Tag(f"v{number // REPOSITORIES}"), digest)


@pytest.mark.slow
def test_the_first_request_is_answered_as_soon_as_the_start_is_announced(root: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as output:
        process = start(
            *("registry", "-H", "127.0.0.1", "-p", str(port), "-s", root), output=output.fileno(), error=output.fileno()
        )
    try:
        wait_until(lambda: "Listening at" in log.read_text(), "it never listens", 30)
        announced = time.monotonic()
        for path in ("team/app-999/manifests/v99", "team/app-500/tags/list", "_catalog?n=100"):
            httpx.get(f"http://127.0.0.1:{port}/v2/{path}", timeout=30).raise_for_status()
            print(f"{path}: {time.monotonic() - announced:.3f} s after the announcement")  # noqa: T201  # shown by -rP
        assert time.monotonic() - announced < BOUND
    finally:
        process.terminate()
        process.wait(40)
        kill_session(process)
