"""The oras client, which fetches the Cluster API components as plain files."""

from pathlib import Path

import oras.client
import pytest

from bench.corpus import Contents
from tests.conftest import Server
from tests.e2e.content import root_digest, served_tree, sha256

pytestmark = pytest.mark.client


def test_oras_pulls_every_file_of_an_artifact_under_its_title(
    server: Server, bundle: tuple[Path, Contents], tmp_path: Path
) -> None:
    artifacts = [member for member in bundle[1].members if member.kind == "artifact"]
    assert artifacts
    for member in artifacts:
        folder = tmp_path / member.repository
        client = oras.client.OrasClient(insecure=True)
        client.pull(f"{server.host}/{member.repository}:{member.tag}", outdir=str(folder))
        tree = served_tree(server, member.repository, member.tag)
        assert root_digest(tree) == member.digest
        titled = {one.pointer.title: digest for digest, one in tree.items() if one.pointer.title}
        assert "metadata.yaml" in titled
        assert {path.name: sha256(path.read_bytes()) for path in folder.iterdir()} == titled
