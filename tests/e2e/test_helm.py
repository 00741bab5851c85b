"""Charts, fetched in the steps that helm takes: tags, manifest, config, chart."""

import io
import tarfile
from pathlib import Path

import httpx
import orjson
import pytest
import yaml

from bench.corpus import Contents, Member
from bench.layout import CHART_CONFIG, CHART_CONTENT
from tests.conftest import Server
from tests.e2e.content import Tree, root_digest, served_tree

pytestmark = pytest.mark.client


def only_version(server: Server, repository: str) -> str:
    """The version helm finds for a chart: no tag can hold the `+` of a version."""
    (tag,) = httpx.get(f"{server.url}/v2/{repository}/tags/list").json()["tags"]
    return str(tag).replace("_", "+")


def pull(server: Server, repository: str, version: str) -> Tree:
    """What `helm pull oci://… --version` fetches."""
    return served_tree(server, repository, version.replace("+", "_"))


def chart_yaml(package: bytes, name: str) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as tar:
        member = tar.extractfile(f"{name}/Chart.yaml")
        assert member is not None
        loaded: dict[str, str] = yaml.safe_load(member.read())
        return loaded


def body_of(tree: Tree, media_type: str) -> bytes:
    (body,) = (one.body for one in tree.values() if one.pointer.media_type == media_type)
    return body


def charts(contents: Contents) -> list[Member]:
    found = [member for member in contents.members if member.kind == "chart"]
    assert any("_" in member.tag for member in found)
    return found


def test_a_chart_is_found_and_pulled_by_its_version(server: Server, bundle: tuple[Path, Contents]) -> None:
    for member in charts(bundle[1]):
        name, version = member.repository.rpartition("/")[2], only_version(server, member.repository)
        tree = pull(server, member.repository, version)
        assert root_digest(tree) == member.digest
        about = chart_yaml(body_of(tree, CHART_CONTENT), name)
        assert (about["name"], about["version"]) == (name, version)
        assert orjson.loads(body_of(tree, CHART_CONFIG)) == about
