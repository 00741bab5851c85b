"""end-8, the catalog, and end-12: tags, repositories and referrers."""

import re

import httpx
import pytest

from registry.oci import mediatype
from registry.oci.digest import Digest
from tests.conformance.conftest import TAGS, Registry

LIST = "/v2/library/app/tags/list"


def pages(registry: Registry, path: str, key: str) -> list[list[str]]:
    """All pages, by following the Link header."""
    found = []
    while path:
        answer = registry.get(path)
        found.append(answer.json()[key])
        link = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("Link", ""))
        path = link[1] if link else ""
    return found


def all_tags(registry: Registry) -> list[str]:
    tags: list[str] = registry.get(LIST).json()["tags"]
    return tags


def test_all_tags_bytewise_sorted(registry: Registry) -> None:
    answer = registry.get(LIST)
    assert answer.json()["name"] == "library/app"
    assert answer.json()["tags"] == sorted(answer.json()["tags"])
    assert set(TAGS) <= set(answer.json()["tags"])
    assert "Link" not in answer.headers
    assert registry.client.head(LIST).status_code == 200


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_pages_follow_each_other_by_link_and_hold_all(registry: Registry, count: int) -> None:
    found = pages(registry, f"{LIST}?n={count}", "tags")
    assert [tag for page in found for tag in page] == all_tags(registry)
    assert all(len(page) == count for page in found[:-1])
    assert 0 < len(found[-1]) <= count


def test_a_link_is_sent_only_if_more_remains(registry: Registry) -> None:
    total = len(all_tags(registry))
    assert "Link" in registry.get(f"{LIST}?n={total - 1}").headers
    for count in (total, 2**31 - 1, 2**63 - 1):
        answer = registry.get(f"{LIST}?n={count}")
        assert (answer.status_code, len(answer.json()["tags"]), "Link" in answer.headers) == (200, total, False)


def test_n_0_is_nothing_and_no_link(registry: Registry) -> None:
    answer = registry.get(f"{LIST}?n=0")
    assert (answer.status_code, answer.json()["tags"]) == (200, [])
    assert "Link" not in answer.headers


@pytest.mark.parametrize("last", ["2.0", "2.1-no-such-tag", "", "~"])
def test_last_is_exclusive_and_need_not_exist(registry: Registry, last: str) -> None:
    wanted = [tag for tag in all_tags(registry) if tag > last]
    assert registry.get(LIST, params={"last": last}).json()["tags"] == wanted
    assert registry.get(LIST, params={"last": last, "n": 2}).json()["tags"] == wanted[:2]


def test_the_catalog_lists_and_pages_repositories(registry: Registry) -> None:
    names = registry.get("/v2/_catalog").json()["repositories"]
    assert names == ["library/app", "library/multi", "library/sha512"]
    assert pages(registry, "/v2/_catalog?n=2", "repositories") == [names[:2], names[2:]]


def referrers(registry: Registry, subject: Digest, query: str = "") -> httpx.Response:
    return registry.get(f"/v2/library/app/referrers/{subject}{query}")


def test_referrers_are_an_index(registry: Registry) -> None:
    answer = referrers(registry, registry.subject)
    assert answer.headers["Content-Type"] == mediatype.OCI_INDEX
    assert "OCI-Filters-Applied" not in answer.headers
    document = answer.json()
    assert (document["schemaVersion"], document["mediaType"]) == (2, mediatype.OCI_INDEX)
    kinds = {each["artifactType"]: each for each in document["manifests"]}
    assert set(kinds) == {"application/vnd.sbom+json", "application/vnd.oci.image.config.v1+json"}
    assert kinds["application/vnd.oci.image.config.v1+json"]["annotations"] == {"kind": "signature"}
    for each in document["manifests"]:
        body = registry.get(f"/v2/library/app/manifests/{each['digest']}").content
        assert (len(body), each["mediaType"]) == (each["size"], mediatype.OCI_MANIFEST)


@pytest.mark.parametrize("query", ["application/vnd.sbom%2Bjson", "application/vnd.sbom+json"])
def test_referrers_are_filtered_and_say_so(registry: Registry, query: str) -> None:
    answer = referrers(registry, registry.subject, f"?artifactType={query}")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert [each["artifactType"] for each in answer.json()["manifests"]] == ["application/vnd.sbom+json"]


@pytest.mark.parametrize("repository", ["library/app", "library/multi", "nowhere"])
def test_without_referrers_the_index_is_empty_and_never_a_404(registry: Registry, repository: str) -> None:
    answer = registry.get(f"/v2/{repository}/referrers/{Digest.of(b'x')}")
    assert (answer.status_code, answer.json()["manifests"]) == (200, [])
    other = registry.get(f"/v2/library/multi/referrers/{registry.subject}")
    assert other.json()["manifests"] == []
