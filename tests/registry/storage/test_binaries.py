"""k0s out of its images in the store, by the names that k0rdent asks for."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.archive import Entry, files
from bench.layout import Tree, image, index, layer
from registry.oci.errors import TooManyRequests
from registry.oci.reference import RepositoryName, Tag
from registry.storage.binaries import Binaries
from registry.storage.store import Store
from tests.images import publish, small_image

PATH = "usr/local/bin/k0s"
PLUS, MINUS = "k0s-v1.32.8+k0s.0-amd64", "k0s-v1.32.8-k0s.0-amd64"
REFERENCE = "k0sproject/k0s:v1.32.8-k0s.0"


def k0s(body: bytes, arch: str = "amd64") -> Tree:
    """An image with an older k0s below the one that counts."""
    old, base = layer(files({PATH: b"an older one"})), layer(files({"etc/passwd": b"root"}))
    return image([old, layer([Entry.directory("usr"), Entry.file(PATH, body, 0o755)]), base], arch)


def content(binaries: Binaries, name: str) -> bytes | None:
    file = binaries.open(name)
    if file is None:
        return None
    with file:
        return file.read()


def unpacked(store: Store) -> list[Path]:
    folder = store.blobs.roots[0].layout.files
    return sorted(path for path in folder.glob("*") if path.name != ".lock")


def test_the_topmost_k0s_is_served_by_both_spellings(store: Store) -> None:
    publish(store, k0s(b"k0s" * 100_000), REFERENCE)
    assert content(store.binaries, PLUS) == content(store.binaries, MINUS) == b"k0s" * 100_000
    (path,) = unpacked(store)
    assert path.stat().st_size == 300_000


@pytest.mark.parametrize(
    "name",
    [
        "k0s-v1.32.8+k0s.0-arm64",
        "k0s-v1.32.8+k0s.1-amd64",
        "k0s-v1.32.8_k0s.0-amd64",
        "k0s--amd64",
        "k0s",
        "",
        "../k0s",
    ],
)
def test_other_names_are_not_there(store: Store, name: str) -> None:
    publish(store, k0s(b"k0s"), REFERENCE)
    assert content(store.binaries, name) is None
    assert unpacked(store) == []


def test_an_index_has_a_k0s_for_each_architecture(store: Store) -> None:
    nested = index([k0s(b"amd", "amd64"), index([k0s(b"arm", "arm64")])])
    publish(store, nested, REFERENCE)
    assert content(store.binaries, PLUS) == b"amd"
    assert content(store.binaries, PLUS.replace("amd64", "arm64")) == b"arm"
    assert [(each.name, each.size) for each in store.binaries.list()] == [
        ("k0s-v1.32.8+k0s.0-amd64", 3),
        ("k0s-v1.32.8+k0s.0-arm64", 3),
    ]


def test_an_index_that_lists_one_thing_a_thousand_times_is_read_once(store: Store) -> None:
    tree = k0s(b"k0s")
    for _ in range(4):
        tree = replace(index([tree] * 1000), below=tree.blobs, platforms=())
    publish(store, tree, REFERENCE)
    assert content(store.binaries, PLUS) == b"k0s"
    assert len(store.binaries.list()) == 1


def test_a_load_may_have_put_a_prefix_in_front(store: Store) -> None:
    publish(store, k0s(b"k0s"), f"k0rdent-enterprise/{REFERENCE}")
    publish(store, k0s(b"no"), "notk0sproject/k0s:v1.32.8-k0s.0")
    assert content(store.binaries, PLUS) == b"k0s"


def test_they_are_listed_before_they_are_unpacked(store: Store) -> None:
    publish(store, k0s(b"k0s"), REFERENCE)
    publish(store, k0s(b"k0s"), "k0sproject/k0s:v1.36.0-rc.1-k0s.12")
    publish(store, k0s(b"k0s"), "k0sproject/k0s:latest")
    names = [each.name for each in store.binaries.list()]
    assert names == ["k0s-latest-amd64", "k0s-v1.32.8+k0s.0-amd64", "k0s-v1.36.0-rc.1+k0s.12-amd64"]
    assert unpacked(store) == []


def test_a_tag_that_moves_brings_another_k0s_and_the_old_one_goes(store: Store) -> None:
    publish(store, k0s(b"old"), REFERENCE)
    assert content(store.binaries, PLUS) == b"old"
    publish(store, k0s(b"new"), REFERENCE)
    assert content(store.binaries, PLUS) == b"new"
    assert [path.read_bytes() for path in unpacked(store)] == [b"new"]
    store.delete_manifest(RepositoryName("k0sproject/k0s"), Tag("v1.32.8-k0s.0"))
    assert content(store.binaries, PLUS) is None


def test_what_a_killed_process_left_is_written_anew(store: Store) -> None:
    publish(store, k0s(b"whole"), REFERENCE)
    assert content(store.binaries, PLUS) == b"whole"
    (path,) = unpacked(store)
    path.rename(path.with_name(f".{path.name}.partial"))
    path.with_name(f".{path.name}.partial").write_bytes(b"ha")
    assert content(store.binaries, PLUS) == b"whole"
    assert unpacked(store) == [path]


def test_an_image_without_k0s_or_with_a_link_in_its_place_is_read_once(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, small_image(), REFERENCE)
    link = image([layer([Entry.link(PATH, "/etc/shadow")])])
    publish(store, link, "k0sproject/k0s:v1.0.0-k0s.0")
    for _ in range(3):
        assert content(store.binaries, PLUS) is None
        assert content(store.binaries, "k0s-v1.0.0+k0s.0-amd64") is None
    assert unpacked(store) == []
    assert store.binaries.list() == []
    assert len([record for record in caplog.records if "is not served as a file" in record.message]) == 2


def test_a_blob_that_rots_is_not_served(store: Store) -> None:
    tree = k0s(b"k0s" * 1000)
    publish(store, tree, REFERENCE)
    for path in store.blobs.roots[0].layout.blobs.rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"\x1f\x8b"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert content(store.binaries, PLUS) is None
    assert unpacked(store) == []


def test_many_threads_at_once_get_the_whole_of_it_or_are_told_to_come_back(store: Store) -> None:
    body = b"k0s" * 2_000_000
    publish(store, k0s(body), REFERENCE)

    def fetch(_: int) -> bool:
        try:
            return content(store.binaries, PLUS) == body
        except TooManyRequests:
            return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(fetch, range(32)))
    assert content(store.binaries, PLUS) == body
    assert len(unpacked(store)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.text(max_size=40) | st.from_regex(r"k0s-v[A-Za-z0-9._+-]{1,140}-[a-z0-9]+", fullmatch=True))
def test_no_name_breaks_it(store: Store, name: str) -> None:
    assert content(store.binaries, name) is None
