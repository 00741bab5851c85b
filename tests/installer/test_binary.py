"""k0s comes out of an image, whichever way it is packed, and never half or changed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from bench.archive import Archive, files
from bench.layout import LAYER, Blob, Layer, image, index, layer, oci_archive
from installer.binary import DownloadedBinary, EmbeddedBinary, ImageBinary
from installer.bundle import Archive as ImageArchive
from installer.bundle import bundled_k0s
from installer.changes import PlaceFile
from installer.errors import SourceUnusable
from installer.flavor import K0S_BINARY, K0S_VERSION
from installer.host import Host
from installer.remote import Remote
from installer.settings_types import K0sVersion
from registry.storage.layout import Layout
from registry.storage.store import Store
from registry.verification import Verification
from tests.conftest import Server, serving
from tests.images import publish, write_tar

VERSION = K0sVersion.parse("1.32.8")
PROGRAM = b"#!/bin/sh\necho v1.32.8+k0s.0\n" * 100_000


def binary_layer(content: bytes = PROGRAM) -> Layer:
    return layer(files({"usr/local/bin/k0s": content}, mode=0o755))


def zstd_layer() -> Layer:
    plain = Archive(tuple(files({"./usr/local/bin/k0s": PROGRAM}, mode=0o755)))
    packed = zstandard.compress(b"".join(plain))
    return Layer(Blob.of((packed,), LAYER.replace("gzip", "zstd")), plain, binary_layer().diff_id)


IMAGES = {
    "one-layer": image([binary_layer()]),
    "hidden-below": image([binary_layer(b"old"), layer(files({"etc/passwd": b"x"})), binary_layer()]),
    "zstd": image([zstd_layer()]),
    "many-platforms": index([image([binary_layer(b"arm")], arch="arm64"), image([binary_layer()])]),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry with each of the images under the tag of another k0s, and one without a k0s in it."""
    folder = tmp_path_factory.mktemp("site")
    store = Store.open([folder / "store"])
    for number, tree in enumerate((*IMAGES.values(), image([layer(files({"bin/sh": b"x"}))]))):
        publish(store, tree, f"k0sproject/k0s:v1.32.{number}-k0s.0")
    store.close()
    with serving("-s", folder / "store", log=folder / "log", ca=folder / "store/pki/ca.crt") as running:
        yield running


def binary(site: Server, number: int) -> ImageBinary:
    assert site.ca is not None
    return ImageBinary(Remote(site.host, site.ca.read_bytes()), K0sVersion.parse(f"1.32.{number}"), "amd64")


@pytest.mark.parametrize("kind", IMAGES)
def test_the_executable_comes_out_of_the_image(site: Server, kind: str) -> None:
    assert b"".join(binary(site, list(IMAGES).index(kind)).pieces()) == PROGRAM


def test_an_image_without_k0s_is_told_as_such(site: Server) -> None:
    with pytest.raises(SourceUnusable, match="holds no /usr/local/bin/k0s"):
        list(binary(site, len(IMAGES)).pieces())
    with pytest.raises(SourceUnusable, match="load the bundle"):
        list(binary(site, 99).pieces())


def test_a_blob_that_was_changed_leaves_no_file(site: Server, tmp_path: Path) -> None:
    found = binary(site, 0)
    digest = IMAGES["one-layer"].blobs
    (blob,) = [each for each in digest if each.media_type == LAYER]
    root = site.log.parent / "store"
    path = Layout(root).blobs / "sha256" / blob.hex[:2] / blob.hex
    content = path.read_bytes()
    store = Store.open([root])
    publish(store, IMAGES["one-layer"], "other:1")  # after a change the registry remembers nothing, and reads again
    store.close()
    path.chmod(0o644)
    path.write_bytes(content[:-8] + bytes(8))
    try:
        with pytest.raises(SourceUnusable):
            list(PlaceFile(Path("/usr/local/bin/k0s"), found).make(Host(tmp_path)))
    finally:
        path.write_bytes(content)
    assert not list(tmp_path.rglob("k0s*"))


def test_a_bundle_gives_its_k0s_without_a_registry(tmp_path: Path) -> None:
    bundle = write_tar(tmp_path / "bundle.tar", {"k0sproject/k0s_v1.32.8-k0s.0.tar": oci_archive(IMAGES["one-layer"])})
    killed = tmp_path / "out/.k0s-of-bundle/store"
    killed.mkdir(parents=True)
    (killed / "VERSION").write_text("half of what a killed one wrote")
    with bundled_k0s(Host(), bundle, tmp_path / "out", Verification()) as found:
        assert found.version == VERSION
        assert b"".join(found.pieces()) == PROGRAM
        assert isinstance(found.place, ImageArchive)
    assert list((tmp_path / "out").iterdir()) == []


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("sum_of", [PROGRAM, b"another"])
def test_a_download_is_what_the_release_says(tmp_path: Path, sum_of: bytes) -> None:
    folder = tmp_path / "releases" / VERSION
    folder.mkdir(parents=True)
    (folder / f"k0s-{VERSION}-amd64").write_bytes(PROGRAM)
    (folder / "sha256sums.txt").write_text(f"{sha256(sum_of).hexdigest()} *k0s-{VERSION}-amd64\n")
    with serving_files(tmp_path / "releases") as url:
        found = DownloadedBinary(VERSION, "amd64", url)
        if sum_of == PROGRAM:
            assert b"".join(found.pieces()) == PROGRAM
            return
        with pytest.raises(SourceUnusable, match="changed on the way"):
            list(found.pieces())
        with pytest.raises(SourceUnusable, match="no such release"):
            list(DownloadedBinary(VERSION, "riscv64", url).pieces())


def test_the_k0s_that_came_along_is_known_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k0s").write_bytes(b"k0s" * 900_000)
    monkeypatch.setenv(K0S_BINARY, str(tmp_path / "k0s"))
    assert EmbeddedBinary.find() is None  # nobody says which version it is
    monkeypatch.setenv(K0S_VERSION, "1.32.8+k0s.0")
    found = EmbeddedBinary.find()
    assert found is not None
    assert found.version == "v1.32.8+k0s.0"
    assert b"".join(found.pieces()) == b"k0s" * 900_000
    (tmp_path / "k0s").unlink()
    with pytest.raises(SourceUnusable, match="cannot read k0s"):
        list(found.pieces())
