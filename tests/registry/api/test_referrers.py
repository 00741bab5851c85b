"""Referrers: what a page costs is the page, however much was pushed about one manifest."""

import re
import tracemalloc
from collections.abc import Iterator

import falcon
import orjson
import pytest
from falcon.testing import TestClient

from registry.api import errors
from registry.api.referrers import Referrers
from registry.api.router import V2Router
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.mediatype import OCI_MANIFEST
from registry.oci.reference import RepositoryName
from registry.storage import keys
from registry.storage.store import Store

NAME = RepositoryName("a")
SUBJECT = Digest.of(b"subject")
COUNT, SIZE = 40, 1_500_000
BROKEN = b"["


@pytest.fixture
def referrers(store: Store) -> list[Digest]:
    """Some of each kind, far more of them together than a page holds; sorted."""
    digests = sorted(Digest.of(bytes([number])) for number in range(COUNT))
    for number, digest in enumerate(digests):
        kind = ("text/a", "text/b")[number % 2]
        annotations = {"filler": "x" * SIZE}
        row = orjson.dumps(Descriptor(OCI_MANIFEST, digest, SIZE, kind, annotations).to_json())
        put_row(store, digest, row)
    return digests


@pytest.fixture
def client(store: Store) -> TestClient:
    app = falcon.App(router=V2Router())
    errors.install(app)
    app.add_route("/v2/{name}/referrers/{digest}", Referrers(store))
    return TestClient(app)


def put_row(store: Store, digest: Digest, row: bytes) -> None:
    with store.index.change() as change:
        change.rows.put("referrers", keys.referrer_key(NAME, SUBJECT, digest), row)


def pages(client: TestClient, query: str = "") -> Iterator[list[str]]:
    """The digests in each page, as the links lead."""
    url: str | None = f"/v2/{NAME}/referrers/{SUBJECT}{query}"
    while url is not None:
        answer = client.simulate_get(url)
        assert answer.status_code == 200
        assert answer.headers.get("OCI-Filters-Applied") == ("artifactType" if query else None)
        yield [each["digest"] for each in answer.json["manifests"]]
        link = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("Link", ""))
        url = link and link[1]


@pytest.mark.parametrize(("query", "step"), [("", 1), ("?artifactType=text/b", 2)])
def test_pages_hold_each_referrer_once(client: TestClient, referrers: list[Digest], query: str, step: int) -> None:
    found = list(pages(client, query))
    assert [digest for page in found for digest in page] == [str(each) for each in referrers[step - 1 :: step]]
    assert {len(page) for page in found} == {2}


@pytest.mark.parametrize("query", ["", "?artifactType=text/b", "?artifactType=text/none"])
@pytest.mark.usefixtures("referrers")
def test_memory_does_not_grow_with_the_referrers(client: TestClient, query: str) -> None:
    tracemalloc.start()
    try:
        client.simulate_head(f"/v2/{NAME}/referrers/{SUBJECT}{query}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < COUNT * SIZE / 2


def test_a_page_reads_what_is_in_it_and_one_more(client: TestClient, store: Store, referrers: list[Digest]) -> None:
    """Rows that cannot be read tell who looks at them."""
    for broken in (*referrers[:4], *referrers[10:]):
        put_row(store, broken, BROKEN)
    path = f"/v2/{NAME}/referrers/{SUBJECT}?artifactType=text/b&last={referrers[3]}"
    answer = client.simulate_get(path)
    assert answer.status_code == 200
    assert [each["digest"] for each in answer.json["manifests"]] == [str(referrers[5]), str(referrers[7])]


def test_a_place_to_go_on_from_is_a_digest(client: TestClient) -> None:
    answer = client.simulate_get(f"/v2/{NAME}/referrers/{SUBJECT}?last=x")
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (400, "DIGEST_INVALID")
