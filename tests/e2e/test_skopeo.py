"""skopeo, which operators copy with."""

import json
from pathlib import Path

import pytest

from bench.corpus import Contents, Member
from bench.layout import INDEX
from tests.conftest import Server
from tests.e2e.clients import run
from tests.e2e.content import Tree, diff_ids, layout_tree, platforms, root_digest, served_tree

pytestmark = pytest.mark.client

NESTED = "kcm-telemetry"  # an index within an index, which `skopeo copy --all` refuses: walked over HTTP instead
INSECURE = "--src-tls-verify=false"


def copied(server: Server, member: Member, folder: Path) -> Tree:
    """The image as skopeo writes it to an OCI layout, told to change nothing."""
    layout = folder / member.path.replace("/", "-")
    source = f"docker://{server.host}/{member.repository}:{member.tag}"
    run("skopeo", "copy", "--all", "--preserve-digests", INSECURE, source, f"oci:{layout}:copy")
    return layout_tree(layout)


def test_skopeo_copies_every_image_byte_for_byte(server: Server, bundle: tuple[Path, Contents], tmp_path: Path) -> None:
    members = [one for one in bundle[1].members if one.digest and one.repository != NESTED]
    trees = {member.path: copied(server, member, tmp_path) for member in members}
    assert {path: root_digest(tree) for path, tree in trees.items()} == {one.path: one.digest for one in members}
    assert {path: platforms(tree) for path, tree in trees.items()} == {one.path: one.platforms for one in members}


def test_an_index_within_an_index_is_served_to_its_last_blob(server: Server, bundle: tuple[Path, Contents]) -> None:
    (member,) = (one for one in bundle[1].members if one.repository == NESTED)
    tree = served_tree(server, member.repository, member.tag)
    assert [one.pointer.media_type for one in tree.values()].count(INDEX) == 2
    assert (root_digest(tree), platforms(tree)) == (member.digest, member.platforms)


def test_skopeo_copies_a_docker_archive_with_the_layers_it_had(
    server: Server, bundle: tuple[Path, Contents], tmp_path: Path
) -> None:
    (member,) = (one for one in bundle[1].members if one.kind == "docker-archive")
    tree = copied(server, member, tmp_path)
    config = json.loads(list(tree.values())[1].body)
    assert tuple(config["rootfs"]["diff_ids"]) == diff_ids(tree) == member.diff_ids
    assert platforms(tree) == member.platforms


def test_skopeo_lists_the_tag_of_every_repository(server: Server, bundle: tuple[Path, Contents]) -> None:
    for member in bundle[1].members:
        listed = json.loads(
            run("skopeo", "list-tags", "--tls-verify=false", f"docker://{server.host}/{member.repository}")
        )
        assert listed["Tags"] == [member.tag]
