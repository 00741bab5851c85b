"""Bundles made of stores and registries, whole or as a delta: a load gives every image its name again."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import artifact, chart, image, index, layer
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference, RepositoryName
from registry.storage.scrub import scrub
from registry.storage.store import Image, Store
from tests.conftest import k0rdentd, listing, serving
from tests.faults.contents import assert_same_store, blob_files
from tests.images import publish, small_image

BASE = layer(files({"base.bin": bytes(range(256)) * 400}))


def app(version: str) -> object:
    return image([BASE, layer(files({f"app-{version}": version.encode() * 1000}))])


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    store = Store.open([tmp_path / "store"])
    publish(store, app("1"), "app:1")  # type: ignore[arg-type]
    publish(store, small_image("deep"), "a/b/my_app:v1.0_rc.1")
    publish(store, small_image("latest"), "latest:latest")
    publish(store, index([small_image("amd"), small_image("arm", arch="arm64")]), "multi:1")
    publish(store, chart("plus", "1.0.0+b1"), "charts/plus:1.0.0_b1")
    publish(store, chart("odd_name", "1.0+b1"), "charts/odd_name:b1")
    publish(store, artifact({"x.txt": b"x" * 5000}), "files/x:1")
    store.close()
    return tmp_path / "store"


def assert_loads_as(bundle: Path, root: Path, expected: Path) -> None:
    done = k0rdentd("load", bundle, "-s", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_store(root, expected)


@pytest.mark.parametrize("name", ["b.tar", "charts.tar", "a.tar"])
def test_a_bundle_of_a_store_loads_into_the_same_store(tmp_path: Path, filled: Path, name: str) -> None:
    done = k0rdentd("bundle", "create", "*", tmp_path / name, "--from-store", filled)
    assert (done.returncode, done.stderr) == (0, "")
    assert "7 images and charts in" in done.stdout
    assert_loads_as(tmp_path / name, tmp_path / "new", filled)


def test_the_same_images_are_the_same_bytes(tmp_path: Path, filled: Path) -> None:
    for name in ("1.tar", "2.tar"):
        assert k0rdentd("bundle", "create", "charts/*", "app:1", tmp_path / name, "-s", filled).returncode == 0
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert sorted(tar.getnames()) == [
            "app_1.tar",
            "charts/odd_name:b1.tar",
            "charts/plus_1.0.0_b1.tar",
            "k0rdentd-index.json",
        ]


def test_a_bundle_of_a_registry_loads_into_the_same_store(tmp_path: Path, filled: Path) -> None:
    with serving("-s", filled, log=tmp_path / "log") as server:
        place = server.url
        made = k0rdentd("bundle", "create", f"{place}/app:1", f"{place}/charts/*", tmp_path / "b.tar")
        assert (made.returncode, made.stderr) == (0, "")
        everything = k0rdentd("bundle", "create", f"{place}/*", tmp_path / "all.tar")
        assert everything.returncode == 0
    assert k0rdentd("load", tmp_path / "b.tar", "-s", tmp_path / "new").returncode == 0
    wanted = {"app:1", "charts/plus:1.0.0_b1", "charts/odd_name:b1"}
    assert listing(tmp_path / "new") == {name: digest for name, digest in listing(filled).items() if name in wanted}
    assert_loads_as(tmp_path / "all.tar", tmp_path / "all", filled)


@pytest.mark.parametrize(
    ("refs", "code", "said"),
    [
        (["nothing/*"], 1, "nothing there is nothing/*"),
        (["app:2"], 1, "app has no 2"),
        (["app"], 1, "name"),
        ([f"app@sha256:{'0' * 64}"], 1, "has no"),
        (["docker://127.0.0.1:1/app:1"], 1, "does not answer"),
        (["ftp://host/app:1"], 2, "no registry"),
        (["app:1", "--since", "missing.json"], 2, "cannot read the receipt"),
        (["app:1", "--username", "alice"], 2, "belong together"),
    ],
)
def test_what_cannot_be_put_in_gives_no_bundle(
    tmp_path: Path, filled: Path, refs: list[str], code: int, said: str
) -> None:
    (tmp_path / "out").mkdir()
    done = k0rdentd("bundle", "create", *refs, tmp_path / "out" / "b.tar", "-s", filled)
    assert done.returncode == code
    assert said in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_image_that_is_not_whole_is_refused_by_name(tmp_path: Path, store: Store) -> None:
    tree = small_image("a")
    publish(store, tree, "app:1")
    (layer,) = (Digest.parse(blob.digest) for blob in tree.below if "layer" in blob.media_type)
    blob = store.stat_blob(RepositoryName("app"), layer)
    store.blobs.path(blob.root, layer).unlink()
    assert [each.verdict.is_bad for each in scrub(store)].count(True) == 1
    done = k0rdentd("bundle", "create", "*", tmp_path / "b.tar", "-s", tmp_path / "store")
    assert done.returncode == 1
    assert str(layer) in done.stderr


def receipt(root: Path, out: Path) -> dict[str, object]:
    done = k0rdentd("store", "receipt", out, "-s", root)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(out.read_text())
    return document


def test_a_receipt_lists_what_the_tags_need_and_is_always_the_same(tmp_path: Path, filled: Path) -> None:
    document = receipt(filled, tmp_path / "r.json")
    assert document["tags"] == listing(filled)
    assert {str(digest)[7:] for digest in document["blobs"]} == set(blob_files(filled))  # type: ignore[attr-defined]
    receipt(filled, tmp_path / "again.json")
    assert (tmp_path / "r.json").read_bytes() == (tmp_path / "again.json").read_bytes()


def test_a_blob_that_no_tag_needs_is_not_promised(tmp_path: Path, filled: Path) -> None:
    before = receipt(filled, tmp_path / "before.json")
    assert k0rdentd("store", "rm", "app:1", "-s", filled).returncode == 0
    after = receipt(filled, tmp_path / "after.json")
    assert len(after["blobs"]) == len(before["blobs"]) - 3  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_a_delta_loads_where_the_rest_is_and_tells_what_is_missing_where_it_is_not(
    tmp_path: Path, filled: Path, form: str
) -> None:
    site, out = tmp_path / "site", tmp_path / "delta.tar"
    shutil.copytree(filled, site)
    receipt(site, tmp_path / "r.json")
    store = Store.open([filled])
    publish(store, app("2"), "app:2")  # type: ignore[arg-type]
    store.close()
    done = k0rdentd("bundle", "create", "app:*", out, "--from-store", filled, "--since", tmp_path / "r.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "left out" in done.stdout
    assert BASE.blob.hex.encode() not in b"".join(names(out, "app_2.tar"))
    out = out if form == "tar" else packed(out)
    done = k0rdentd("load", out, "-s", site)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_store(site, filled)
    refused = k0rdentd("load", out, "-s", tmp_path / "elsewhere")
    assert refused.returncode == 1
    assert "app_2.tar: 1 of its blobs" in refused.stderr
    assert f"{BASE.blob.digest} first: if this is a delta, load the bundle that it builds on first" in refused.stderr
    assert listing(tmp_path / "elsewhere") == {}


def names(bundle: Path, member: str) -> list[bytes]:
    with tarfile.open(bundle) as outer, tarfile.open(fileobj=outer.extractfile(member)) as inner:
        return [name.encode() for name in inner.getnames()]


def packed(path: Path) -> Path:
    import gzip

    out = path.with_name(f"{path.name}.gz")
    out.write_bytes(gzip.compress(path.read_bytes()))
    return out


def test_a_blob_of_another_size_than_the_store_has_is_no_part_of_a_delta(tmp_path: Path, store: Store) -> None:
    """A manifest that lies about a blob's size must not get the store's."""
    held = publish(store, app("1"), "app:1")  # type: ignore[arg-type]
    body = store.get_manifest(Reference.parse("app:1").repository, held).body
    lying = body.replace(f'"size":{BASE.blob.size}'.encode(), f'"size":{BASE.blob.size + 1}'.encode())
    assert lying != body
    store.publish(Image(Reference.parse("lie:1"), Digest.of(lying), ((Digest.of(lying), Manifest.parse(lying)),), ()))
    receipt(tmp_path / "store", tmp_path / "r.json")
    out = tmp_path / "b.tar"
    done = k0rdentd("bundle", "create", "lie:1", out, "-s", tmp_path / "store", "--since", tmp_path / "r.json")
    assert done.returncode == 0
    refused = k0rdentd("load", out, "-s", tmp_path / "store")
    assert refused.returncode == 1
    assert "were announced" in refused.stderr


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"receipt":"k0rdentd","version":2,"blobs":[],"tags":{}}',
        b'{"receipt":"k0rdentd","version":1,"blobs":["md5:1"],"tags":{}}',
        b'{"receipt":"k0rdentd","version":1,"blobs":7,"tags":{}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_receipt_is_told(tmp_path: Path, filled: Path, body: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(body)
    done = k0rdentd("bundle", "create", "app:1", tmp_path / "b.tar", "-s", filled, "--since", path)
    assert done.returncode == 2
    assert f"{path} is no receipt" in done.stderr
    assert not (tmp_path / "b.tar").exists()


def test_what_is_written_through_and_what_has_to_appear_whole_are_told_apart(tmp_path: Path, filled: Path) -> None:
    piped = k0rdentd("store", "receipt", "-", "-s", filled)
    receipt(filled, tmp_path / "r.json")
    assert (piped.returncode, json.loads(piped.stdout)) == (0, json.loads((tmp_path / "r.json").read_text()))
    for name in ("-", "/dev/stdout"):
        done = k0rdentd("bundle", "create", "app:1", name, "-s", filled)
        assert (done.returncode, "is no regular file" in done.stderr) == (4, True), done.stderr
    assert (Path("/dev/stdout").is_symlink(), Path("-").exists()) == (True, False)
