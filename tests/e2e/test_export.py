"""`store export`: one archive of several images, which skopeo, containerd and podman load as they are in the store."""

import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import chart, image, index, layer
from registry.oci.digest import Digest
from registry.storage.store import Store
from tests.conftest import COMMAND, k0rdentd, listing
from tests.e2e.clients import run
from tests.e2e.containerd import running_containerd
from tests.e2e.content import layout_tree, root_digest
from tests.faults.contents import blob_files
from tests.images import publish, small_image

pytestmark = pytest.mark.client

HOST = "registry.example:5000"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export") / "store"
    store = Store.open([root])
    app = small_image(size=1_500_000)
    publish(store, app, "app:1")
    publish(store, app, "team/app:stable")
    publish(store, small_image(), "other:2")
    platforms = [image([layer(files({"etc/arch": arch.encode()}))], arch) for arch in ("arm64", "amd64")]
    publish(store, index(platforms), "multi:3")
    publish(store, chart("c", "1.0"), "charts/c:1.0")
    publish(store, small_image(), "sha512:1", "sha512")
    publish(store, small_image(subject=app.root.descriptor()), "app:sig")
    store.close()
    return root


@pytest.fixture(scope="module")
def archive(root: Path) -> Path:
    """Everything that has a tag and a digest of sha256, which is all that these clients know."""
    out = root.with_name("all.tar")
    export(root, "app:1", "team/*", "other:*", "multi:3", "charts/*", out, "--registry", HOST)
    return out


def export(root: Path, *arguments: str | Path) -> str:
    exported = k0rdentd("store", "export", *arguments, "-s", root)
    assert exported.returncode == 0, exported.stderr
    return exported.stderr


def index_json(archive: Path) -> list[dict[str, object]]:
    with tarfile.open(archive) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        entries: list[dict[str, object]] = json.load(file)["manifests"]
        return entries


def exported_names(root: Path) -> dict[str, str]:
    kept = {name: digest for name, digest in listing(root).items() if name not in ("sha512:1", "app:sig")}
    return {f"{HOST}/{name}": digest for name, digest in kept.items()}


def test_skopeo_copies_each_image_out_of_the_archive_byte_for_byte(root: Path, archive: Path, tmp_path: Path) -> None:
    for number, (name, digest) in enumerate(exported_names(root).items()):
        layout = tmp_path / str(number)
        options = ("--all", "--preserve-digests", "--quiet")
        run("skopeo", "copy", *options, f"oci-archive:{archive}:{name}", f"oci:{layout}:x")
        assert root_digest(layout_tree(layout)) == digest


def test_containerd_imports_every_image_of_the_archive_under_its_name(
    root: Path, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_containerd(tmp_path_factory.mktemp("containerd")) as daemon:
        run("ctr", *daemon.client, "images", "import", "--no-unpack", "--all-platforms", archive)
        assert daemon.digests() == exported_names(root)


def test_podman_loads_the_runnable_images_of_the_archive(root: Path, archive: Path, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="e2e-") as run_root:
        storage = ("--root", tmp_path / "root", "--runroot", run_root, "--storage-driver", "vfs")
        run("podman", *storage, "load", "--quiet", "--input", archive)
        loaded = run("podman", *storage, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
        assert set(loaded) == set(exported_names(root)) - {f"{HOST}/charts/c:1.0"}
        arch = run("podman", *storage, "image", "inspect", "--format", "{{.Architecture}}", f"{HOST}/multi:3")
        assert arch.strip() == "amd64"


def test_the_archive_holds_each_blob_once_and_what_its_name_says(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        assert len(set(names)) == len(names)
        for name in names:
            file = tar.extractfile(name)
            assert file is not None
            if name.startswith("blobs/"):
                assert name == f"blobs/sha256/{Digest.of(file.read()).hex}"


def test_the_same_images_are_the_same_bytes_whatever_order_they_are_asked_for_in(root: Path, tmp_path: Path) -> None:
    export(root, "app:1", "other:2", tmp_path / "first.tar")
    export(root, "other:*", "app:1", "app:1", tmp_path / "second.tar")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_standard_output_gets_the_same_bytes_as_a_file(root: Path, tmp_path: Path) -> None:
    export(root, "*", tmp_path / "file.tar")
    command = [*COMMAND, "store", "export", "*", "-", "-s", str(root)]
    piped = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert piped == (tmp_path / "file.tar").read_bytes()
    assert len(piped) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(piped)) as tar:
        assert any(name.startswith("blobs/sha512/") for name in tar.getnames())


def test_a_digest_names_an_image_and_referrers_come_on_request(root: Path, tmp_path: Path) -> None:
    images = listing(root)
    export(root, images["app:1"], tmp_path / "alone.tar")
    export(root, f"app@{images['app:1']}", tmp_path / "with.tar", "--referrers")
    assert [entry["digest"] for entry in index_json(tmp_path / "alone.tar")] == [images["app:1"]]
    assert [entry["digest"] for entry in index_json(tmp_path / "with.tar")] == [images["app:1"], images["app:sig"]]


def test_a_reference_that_means_nothing_is_told_and_nothing_is_written(root: Path, tmp_path: Path) -> None:
    for ref in ("nothing:1", "nothing/*", f"app@sha256:{'0' * 64}", f"sha256:{'0' * 64}"):
        refused = k0rdentd("store", "export", "app:1", ref, tmp_path / "out.tar", "-s", root)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert list(tmp_path.iterdir()) == []


def test_a_blob_that_rotted_is_not_exported(root: Path, tmp_path: Path) -> None:
    store = Store.open([tmp_path / "store"])
    publish(store, small_image(size=5000), "app:1")
    store.close()
    largest = max((path for path in (tmp_path / "store/blobs").rglob("*") if path.is_file()), key=_size)
    largest.write_bytes(bytes(_size(largest)))
    assert blob_files(tmp_path / "store")[largest.name] != largest.name
    refused = k0rdentd("store", "export", "*", tmp_path / "out.tar", "-s", tmp_path / "store")
    assert refused.returncode == 1
    assert largest.name in refused.stderr
    assert not list(tmp_path.glob("out.tar*"))


def _size(path: Path) -> int:
    return path.stat().st_size
