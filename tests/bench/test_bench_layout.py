import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from bench.archive import Entry, files
from bench.layout import (
    CHART_CONFIG,
    CHART_CONTENT,
    INDEX,
    REF_NAME,
    Layer,
    artifact,
    chart,
    chart_archive,
    docker_archive,
    image,
    index,
    layer,
    oci_archive,
)


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Name and bytes of every file in a tar, packed or not."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {info.name: body.read() for info in tar if (body := tar.extractfile(info))}


def tool(*command: str) -> str:
    """What a real client says to stdout."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def two_layers() -> list[Layer]:
    return [layer(files({"bin/run": b"#!/bin/sh\n"}, mode=0o755)), layer(files({"etc/name": b"x"}))]


def test_an_oci_archive_lists_its_members_in_skopeos_order(two_layers: list[Layer]) -> None:
    names = [entry.name for entry in oci_archive(image(two_layers)).entries]
    assert names[:2] == ["blobs", "blobs/sha256"]
    assert names[2:-2] == sorted(names[2:-2])
    assert names[-2:] == ["index.json", "oci-layout"]


def test_an_entry_of_index_json_can_carry_a_name_and_the_archive_further_members(two_layers: list[Layer]) -> None:
    archive = oci_archive(image(two_layers), {REF_NAME: "app:1"}, [Entry.file("note", b"x")])
    held = unpacked(archive.to_bytes())
    assert json.loads(held["index.json"])["manifests"][0]["annotations"] == {REF_NAME: "app:1"}
    assert held["note"] == b"x"


def test_diff_ids_are_the_digests_of_the_unpacked_layers(two_layers: list[Layer]) -> None:
    for one in two_layers:
        plain = gzip.decompress(b"".join(one.blob.content))
        assert one.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"


def test_an_index_names_the_platform_of_images_but_not_of_indexes(two_layers: list[Layer]) -> None:
    nested = index([image(two_layers), index([image(two_layers, "arm64")])])
    listed = json.loads(b"".join(nested.root.content))["manifests"]
    assert listed[0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert listed[1]["mediaType"] == INDEX
    assert "platform" not in listed[1]
    assert nested.platforms == ("linux/amd64", "linux/arm64")


def test_a_chart_holds_its_files_below_its_name() -> None:
    root = chart("plus", "1.0.0+b1", {"README.md": b"hello"})
    manifest = json.loads(b"".join(root.root.content))
    assert manifest["config"]["mediaType"] == CHART_CONFIG
    assert manifest["layers"][0]["mediaType"] == CHART_CONTENT
    content = next(blob for blob in root.below if blob.media_type == CHART_CONTENT)
    held = unpacked(b"".join(content.content))
    assert b'version: "1.0.0+b1"' in held["plus/Chart.yaml"]
    assert list(held) == ["plus/Chart.yaml", "plus/values.yaml", "plus/templates/configmap.yaml", "plus/README.md"]


def test_equal_charts_are_equal_bytes() -> None:
    assert chart_archive("a", "1.0.0").to_bytes() == chart_archive("a", "1.0.0").to_bytes()


def test_an_artifact_titles_each_file() -> None:
    manifest = json.loads(b"".join(artifact({"metadata.yaml": b"a", "x-components.yaml": b"b"}).root.content))
    titles = [one["annotations"]["org.opencontainers.image.title"] for one in manifest["layers"]]
    assert titles == ["metadata.yaml", "x-components.yaml"]
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert manifest["config"]["digest"] == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"


@pytest.mark.client
def test_skopeo_and_umoci_unpack_an_image_of_given_files(tmp_path: Path, two_layers: list[Layer]) -> None:
    archive = oci_archive(image(two_layers, entrypoint=["/bin/run"])).write(tmp_path / "app.tar")
    tool("skopeo", "copy", f"oci-archive:{archive}", f"oci:{tmp_path / 'layout'}:app")
    tool("umoci", "unpack", "--rootless", "--image", f"{tmp_path / 'layout'}:app", str(tmp_path / "bundle"))
    rootfs = tmp_path / "bundle" / "rootfs"
    assert (rootfs / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (rootfs / "etc/name").read_bytes() == b"x"


@pytest.mark.client
def test_skopeo_reads_a_docker_archive(tmp_path: Path, two_layers: list[Layer]) -> None:
    archive = docker_archive(two_layers, "docker.io/library/skopeo:v1.17.0").write(tmp_path / "skopeo.tar")
    config = json.loads(tool("skopeo", "inspect", "--config", f"docker-archive:{archive}"))
    assert config["rootfs"]["diff_ids"] == [one.diff_id for one in two_layers]
    tool("skopeo", "copy", f"docker-archive:{archive}:skopeo:v1.17.0", f"dir:{tmp_path / 'copy'}")
