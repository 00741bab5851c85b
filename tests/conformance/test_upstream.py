"""`?ns=` as containerd sends it: accepted everywhere, and a name of Docker Hub is found where bundles have it."""

import json
from pathlib import Path

import httpx
import pytest

from bench.layout import MANIFEST
from registry.oci.digest import Digest
from tests.conformance.repository import Repository, refused
from tests.conftest import Server, k0rdentd, serving
from tests.images import small_image

HUB = "ns=docker.io"


@pytest.fixture(scope="module")
def short(writable: Server, client: httpx.Client) -> Repository:
    """An image at `short`, which clients of Docker Hub call `library/short`."""
    return Repository(writable, client, "short")


@pytest.fixture(scope="module")
def digest(short: Repository) -> Digest:
    tree = small_image()
    digest = short.push(tree, "1")
    short.push(tree, "2")
    subject = {"mediaType": MANIFEST, "digest": str(digest), "size": tree.root.size}
    short.push(small_image(subject=subject))
    return digest


@pytest.fixture(scope="module")
def paths(short: Repository, digest: Digest) -> list[str]:
    document = short.get("manifests/1").json()
    blob = document["layers"][0]["digest"]
    return ["manifests/1", f"manifests/{digest}", f"blobs/{blob}", "tags/list", f"referrers/{digest}"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("number", range(5))
def test_a_name_of_docker_hub_falls_back_to_the_short_one(
    short: Repository, paths: list[str], method: str, number: int
) -> None:
    plain = short.request(method, paths[number])
    assert plain.status_code == 200
    found = short.request(method, f"/v2/library/short/{paths[number]}?{HUB}")
    assert found.status_code == 200
    if number == 3:
        assert method == "HEAD" or found.json() == {"name": "library/short", "tags": ["1", "2"]}
    else:
        assert found.content == plain.content
        assert found.headers.get("Docker-Content-Digest") == plain.headers.get("Docker-Content-Digest")


@pytest.mark.parametrize("query", ["", "?ns=quay.io", "?ns=docker.io.evil.example", "?ns=", "?ns=%0d%0a"])
def test_no_other_upstream_has_short_names(short: Repository, paths: list[str], query: str) -> None:
    for path in paths[:4]:
        assert short.get(f"/v2/library/short/{path}{query}").status_code == 404
    assert short.get(f"/v2/library/short/{paths[4]}{query}").json()["manifests"] == []


@pytest.mark.parametrize("query", ["?ns=quay.io", "?ns=docker.io", "?ns=registry.k8s.io:443", "?ns=%00", "?ns=a&ns=b"])
def test_the_upstream_changes_nothing_for_a_name_that_is_there(short: Repository, paths: list[str], query: str) -> None:
    for path in paths:
        assert short.get(f"{path}{query}").content == short.get(path).content


def test_what_the_repository_itself_has_wins(writable: Server, client: httpx.Client) -> None:
    plain, library = (Repository(writable, client, name) for name in ("both", "library/both"))
    plain.push(small_image("plain"), "1")
    own = library.push(small_image("library"), "1")
    assert library.get(f"manifests/1?{HUB}").headers["Docker-Content-Digest"] == str(own)


def test_pages_go_on_in_the_same_repository(short: Repository, digest: Digest) -> None:
    first = short.get(f"/v2/library/short/tags/list?n=1&{HUB}")
    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    assert short.get(link).json()["tags"] == ["2"]


def test_a_push_goes_where_it_says(writable: Server, client: httpx.Client) -> None:
    library, short = (Repository(writable, client, name) for name in ("library/pushed", "pushed"))
    content = b"a config"
    blob = Digest.of(content)
    assert library.request("POST", f"blobs/uploads/?digest={blob}&{HUB}", content=content).status_code == 201
    assert short.status(f"blobs/{blob}") == 404
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": str(blob), "size": len(content)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
    answer = library.request(
        "PUT", f"manifests/1?{HUB}", content=json.dumps(document), headers={"Content-Type": MANIFEST}
    )
    assert answer.status_code == 201
    refused(short.get("manifests/1"), 404, "MANIFEST_UNKNOWN")


def test_a_delete_goes_where_it_says(short: Repository, paths: list[str]) -> None:
    for path in paths[:3]:
        assert short.request("DELETE", f"/v2/library/short/{path}?{HUB}").status_code == 404
        assert short.status(path) == 200


def test_what_was_asked_for_in_vain_is_listed_when_the_registry_has_stopped(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serving("-s", store, "--push", "anonymous", "--workers", "2", log=tmp_path / "log") as server:
        for number in range(40):  # a connection each: both workers get some
            assert httpx.get(f"{server.url}/v2/library/nginx/manifests/1.27?{HUB}").status_code == 404
            httpx.head(f"{server.url}/v2/k0sproject/nothing/manifests/{Digest.of(b'')}?ns=quay.io")
            httpx.get(f"{server.url}/v2/many/manifests/{number}")
        httpx.get(f"{server.url}/v2/Not/a/name/manifests/1")
        httpx.get(f"{server.url}/v2/x/manifests/..no-tag..")
        httpx.get(f"{server.url}/v2/x/tags/list")
        writable = Repository(server, httpx.Client(base_url=server.url), "many")
        writable.push(small_image(), "7")
        writable.client.close()
    shown = json.loads(k0rdentd("store", "missing", "-s", store, "--json").stdout)
    counts = {(each["upstream"], each["repository"], each["reference"]): each["count"] for each in shown}
    assert counts.pop(("docker.io", "library/nginx", "1.27")) == 40
    assert counts.pop(("quay.io", "k0sproject/nothing", str(Digest.of(b"")))) == 40
    assert counts == {(None, "many", str(number)): 1 for number in range(40) if number != 7}
    assert [each["last"] for each in shown] == sorted((each["last"] for each in shown), reverse=True)
    assert {each["client"] for each in shown} == {"127.0.0.1"}
    lines = k0rdentd("store", "missing", "-s", store, "--clear").stdout.splitlines()
    assert len(lines) == 41
    assert any(line.startswith("docker.io/library/nginx:1.27  40 times  last 20") for line in lines)
    again = k0rdentd("store", "missing", "-s", store)
    assert (again.returncode, again.stdout) == (0, "")
