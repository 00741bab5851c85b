"""A bundle that was loaded is known again, wherever it lies, unless anything of it or of the store has changed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from bench.bundle import BundleSpec, Contents, Form
from bench.corpus import write_bundle
from bench.layout import oci_archive
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.index import StoredManifest
from registry.storage.store import Store
from tests.conftest import listing, serving
from tests.faults.bundles import flipped
from tests.faults.processes import wait_until
from tests.images import small_image, write_tar
from tests.loader.test_load import load

KNOWN = "of them known from an earlier load"


@pytest.fixture(params=["tar.gz", "dir"])
def loaded(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path, Contents]:
    """A bundle, a store that has it, and what is in it."""
    form: Form = request.param
    path = tmp_path / ("b" if form == "dir" else f"b.{form}")
    contents = write_bundle(BundleSpec(size=3_500_000), path, form)
    assert load(path, tmp_path / "s").returncode == 0
    return path, tmp_path / "s", contents


def is_known(bundle: Path, root: Path, *options: str) -> bool:
    done = load(bundle, root, *options)
    assert done.returncode == 0, done.stderr
    return KNOWN in done.stdout


def test_a_finished_bundle_is_known_where_it_lies_and_where_it_is_moved_or_copied(
    loaded: tuple[Path, Path, Contents],
) -> None:
    path, root, contents = loaded
    assert is_known(path, root)
    moved = path.rename(path.with_name(f"elsewhere{''.join(path.suffixes)}"))
    assert is_known(moved, root)
    copy = moved.with_name(f"copy{''.join(path.suffixes)}")
    shutil.copytree(moved, copy) if moved.is_dir() else shutil.copy(moved, copy)
    assert is_known(copy, root)
    assert len(listing(root)) == len(contents.members)


def test_what_was_asked_for_belongs_to_it(loaded: tuple[Path, Path, Contents]) -> None:
    path, root, _ = loaded
    for option in (
        ("--prefix", "p"),
        ("--exclude", "charts/*"),
        ("--platform", "linux/amd64"),
        ("--strip-components", "0"),
    ):
        assert not is_known(path, root, *option)
    assert is_known(path, root)
    assert not is_known(path, root, "--force")


def test_a_missing_tag_or_link_comes_back_without_reading_and_a_missing_file_by_reading(
    loaded: tuple[Path, Path, Contents],
) -> None:
    path, root, contents = loaded
    image = next(member for member in contents.members if member.kind == "image")
    reference = Reference.parse(f"{image.repository}:{image.tag}")
    before = listing(root)
    for harm, needs_reading in ((lose_tag, False), (lose_link, False), (lose_file, True)):
        store = Store.open([root])
        harm(store, reference)
        assert not is_whole(store, reference)
        assert is_known(path, root) != needs_reading
        assert is_whole(store, reference)
        store.close()
        assert listing(root) == before


def lose_tag(store: Store, reference: Reference) -> None:
    store.delete_manifest(reference.repository, reference.tag)


def lose_link(store: Store, reference: Reference) -> None:
    store.delete_blob(reference.repository, a_layer(store, reference))


def lose_file(store: Store, reference: Reference) -> None:
    store.blobs.roots[0].layout.blob(a_layer(store, reference)).unlink()


def is_whole(store: Store, reference: Reference) -> bool:
    """Whether its layer can be pulled by its tag."""
    try:
        blob = store.stat_blob(reference.repository, a_layer(store, reference))
    except OCIError:
        return False
    return store.blobs.has(blob)


def a_layer(store: Store, reference: Reference) -> Digest:
    """Of the image itself, or of the last one below its index."""
    digest = store.get_manifest(reference.repository, reference.tag).digest
    with store.snapshot() as snapshot:
        waiting = [digest]
        while waiting:
            manifest = parsed(snapshot.manifest(reference.repository, waiting.pop()))
            waiting += [child.digest for child in manifest.children]
            if manifest.layers:
                found = manifest.layers[0].digest
    return found


def parsed(stored: StoredManifest | None) -> Manifest:
    assert stored is not None
    return Manifest.parse(stored.body, stored.media_type)


@pytest.mark.parametrize("form", ["tar.gz", "tar"])
def test_a_bundle_changed_in_its_place_is_not_taken_for_the_finished_one(tmp_path: Path, form: Form) -> None:
    path = tmp_path / f"b.{form}"
    write_bundle(BundleSpec(size=3_500_000), path, form)
    load(path, tmp_path / "s")
    before = path.stat()
    with path.open("r+b") as file:
        file.write(flipped(path.read_bytes(), [path.stat().st_size // 2]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert KNOWN not in load(path, tmp_path / "s").stdout


def test_a_path_that_is_no_text_is_one_like_others(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = write_tar(folder / os.fsdecode(b"b\xe9.tar"), {"a_1.tar": oci_archive(small_image("a"))})
    options = ("--exclude", os.fsdecode(b"\xe9*"))
    assert not is_known(path, tmp_path / "s", *options)
    assert is_known(path, tmp_path / "s", *options)
    assert set(listing(tmp_path / "s")) == {"a:1"}


def test_another_bundle_of_the_same_name_and_size_is_loaded(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "b.tar", {"a_1.tar": oci_archive(small_image("a"))})
    load(path, tmp_path / "s")
    size, before = path.stat().st_size, listing(tmp_path / "s")
    write_tar(path, {"a_1.tar": oci_archive(small_image("b"))})
    assert path.stat().st_size == size
    done = load(path, tmp_path / "s")
    assert "1 loaded" in done.stdout
    assert listing(tmp_path / "s") != before


@pytest.mark.parametrize("is_finished", [True, False])
def test_what_another_version_remembers_of_a_bundle_is_not_gone_on_with(tmp_path: Path, is_finished: bool) -> None:
    path = write_tar(tmp_path / "b.tar", {"a_1.tar": oci_archive(small_image("a"))})
    load(path, tmp_path / "s")
    before = listing(tmp_path / "s")
    store = Store.open([tmp_path / "s"])
    with store.index.change() as change:
        key, head = next(change.rows.scan("journals"))
        older = {name: value for name, value in json.loads(head).items() if name != "form"}
        middle = {"is_finished": False, "checkpoint": {"bit": 0, "offset": 0, "window": "", "plain": ""}}
        change.rows.put("journals", key, json.dumps(older if is_finished else older | middle).encode())
    store.close()
    done = load(path, tmp_path / "s")
    assert (done.returncode, "1 present" in done.stdout, KNOWN in done.stdout) == (0, True, False)
    assert done.stderr.count("\n") == 1
    assert "by another version of k0rdentd" in done.stderr
    assert listing(tmp_path / "s") == before
    assert is_known(path, tmp_path / "s")


def test_a_registry_that_is_started_again_knows_its_bundle(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    write_bundle(BundleSpec(size=3_500_000), path, "tar.gz")
    for life in ("first", "second"):
        with serving("-s", tmp_path / "s", "-b", path, log=tmp_path / life, wait_for="/readyz"):
            log = tmp_path / life
            wait_until(lambda log=log: "was not checked" in log.read_text(), "the load ends")  # type: ignore[misc]
    assert KNOWN not in (tmp_path / "first").read_text()
    assert KNOWN in (tmp_path / "second").read_text()
    assert "MB/s)" not in (tmp_path / "second").read_text()  # nothing was read, so that has no rate
