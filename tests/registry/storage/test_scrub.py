"""scrub: every blob is read, what is bad is set aside and answers 404, and it heals when it is brought again."""

import itertools
import os
import time
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, ManifestBlobUnknown
from registry.oci.reference import RepositoryName, Tag
from registry.storage import inventory
from registry.storage.care import last_runs
from registry.storage.errors import StorageBusy
from registry.storage.reading import Pace, check
from registry.storage.scrub import Verdict, scrub
from registry.storage.store import Store
from tests.images import as_image, publish, small_image, write_blob

NAME = RepositoryName("a/b")


def bad(store: Store) -> dict[Digest, Verdict]:
    return {each.blob.digest: each.verdict for each in scrub(store) if each.verdict is not Verdict.GOOD}


def path_of(store: Store, digest: Digest) -> Path:
    blob = store.stat_blob(NAME, digest)
    return store.blobs.path(blob.root, digest)


def flip(path: Path, place: int = 0) -> None:
    body = bytearray(path.read_bytes())
    body[place] ^= 1
    with path.open("r+b") as file:  # the same file, as a rotten disk has it
        file.write(body)
        os.fsync(file.fileno())


@pytest.fixture
def layer(store: Store) -> Digest:
    """The layer of an image, `a/b:1`."""
    tree = small_image(size=3000)
    publish(store, tree, "a/b:1")
    return next(Digest.parse(blob.digest) for blob in tree.below if "layer" in blob.media_type)


def test_good_blobs_are_read_and_left_alone(store: Store, layer: Digest) -> None:
    scrubbed = list(scrub(store))
    assert {each.verdict for each in scrubbed} == {Verdict.GOOD}
    assert sum(each.blob.size for each in scrubbed) == store.stored_bytes()
    assert not store.blobs.roots[0].layout.quarantine.exists()


@pytest.mark.parametrize("damage", ["a flipped bit", "a missing end", "more than there was"])
def test_a_bad_blob_is_set_aside_and_nobody_gets_it(store: Store, layer: Digest, damage: str) -> None:
    path = path_of(store, layer)
    match damage:
        case "a flipped bit":
            flip(path, 100)
        case "a missing end":
            os.truncate(path, 10)
        case _:
            path.write_bytes(path.read_bytes() + b"x")
    rotten = path.read_bytes()
    (found,) = (each for each in scrub(store) if each.verdict.is_bad)
    assert (found.blob.digest, found.verdict, found.repositories) == (layer, Verdict.DAMAGED, (NAME,))
    assert not path.exists()
    assert store.blobs.roots[0].layout.quarantined(layer).read_bytes() == rotten
    with pytest.raises(BlobUnknown):
        store.stat_blob(NAME, layer)
    assert bad(store) == {}


def test_a_missing_file_loses_its_row(store: Store, layer: Digest) -> None:
    path_of(store, layer).unlink()
    assert bad(store) == {layer: Verdict.MISSING}
    with pytest.raises(BlobUnknown):
        store.stat_blob(NAME, layer)


def test_what_is_not_a_file_any_more_is_unreadable(store: Store, layer: Digest) -> None:
    path = path_of(store, layer)
    path.unlink()
    path.mkdir()
    assert bad(store) == {layer: Verdict.UNREADABLE}
    assert not path.exists()


def test_a_push_heals(store: Store) -> None:
    content = os.urandom(5000)
    digest = Digest.of(content)
    store.uploads.finish(NAME, store.uploads.start(NAME), digest, [content], None)
    flip(path_of(store, digest))
    assert bad(store) == {digest: Verdict.DAMAGED}
    store.uploads.finish(NAME, store.uploads.start(NAME), digest, [content], None)
    assert path_of(store, digest).read_bytes() == content
    assert bad(store) == {}


def test_no_manifest_is_taken_that_needs_what_was_set_aside(store: Store) -> None:
    made = as_image(store, small_image(), "a/b:1")
    store.publish(made)
    flip(path_of(store, made.blobs[0].digest))
    scrubbed = bad(store)
    assert set(scrubbed) == {made.blobs[0].digest}
    ((digest, manifest),) = made.manifests
    with pytest.raises(ManifestBlobUnknown):
        store.put_manifest(NAME, digest, manifest, [Tag("2")])
    assert not store.mount_blob(RepositoryName("other"), made.blobs[0].digest, NAME)
    assert not store.has_image(made)


def test_a_checksum_that_the_index_has_wrong_is_corrected(store: Store, layer: Digest) -> None:
    with store.index.change() as change:
        blob = change.blob(layer)
        assert blob is not None
        change.put_blob(type(blob)(layer, blob.size, blob.root, bytes(16)), 7)
    assert bad(store) == {layer: Verdict.MISREMEMBERED}
    assert store.stat_blob(NAME, layer) == blob
    with store.snapshot() as snapshot:
        assert inventory.last_told(snapshot, layer) == 7
    assert bad(store) == {}


def test_a_blob_that_was_pushed_anew_while_the_bad_one_was_read_stays(store: Store, layer: Digest) -> None:
    """What scrub sets aside is the file that it has read."""
    path = path_of(store, layer)
    content = path.read_bytes()
    scrubbing = scrub(store)
    flip(path)
    reader = os.open(path, os.O_RDONLY)  # keeps the inode from being used again
    write_blob(store, content)
    assert [each for each in scrubbing if each.verdict is not Verdict.GOOD] == []
    assert path.read_bytes() == content
    os.close(reader)


def test_a_blob_that_was_removed_and_pushed_anew_while_it_was_read_stays(
    store: Store, layer: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gc took the file when it was to be read, and a push brought the same blob before it was looked at again."""

    def vanish(_: Path, *__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("registry.storage.scrub.check", vanish)
    assert bad(store) == {}
    assert store.stat_blob(NAME, layer).digest == layer


def test_an_interrupted_scrub_goes_on_where_it_was(store: Store) -> None:
    for number in range(20):
        publish(store, small_image(f"{number}"), f"a/b:{number}")
    everything = [each.blob.digest for each in scrub(store)]
    first = scrub(store)
    seen = [each.blob.digest for each in itertools.islice(first, 15)]
    first.close()  # type: ignore[attr-defined]
    rest = [each.blob.digest for each in scrub(store)]
    assert set(seen) | set(rest) == set(everything)
    assert len(seen) + len(rest) <= len(everything) + 1
    with store.index.snapshot() as snapshot:
        (run,) = last_runs(snapshot)
    assert (run.complete, run.counts.total()) == (True, len(everything)), "both parts are one run"
    assert [each.blob.digest for each in scrub(store)] == everything
    again = scrub(store)
    list(itertools.islice(again, 15))
    again.close()  # type: ignore[attr-defined]
    assert [each.blob.digest for each in scrub(store, restart=True)] == everything


def test_a_scrub_that_goes_on_and_is_stopped_at_once_forgets_nothing(store: Store) -> None:
    for number in range(5):
        publish(store, small_image(f"{number}"), f"a/b:{number}")
    for count in (4, 1):
        begun = scrub(store)
        list(itertools.islice(begun, count))
        begun.close()  # type: ignore[attr-defined]
    assert len(list(scrub(store))) <= 10 - 3


def test_one_scrub_at_a_time(store: Store, layer: Digest) -> None:
    running = scrub(store)
    next(running)
    with pytest.raises(StorageBusy):
        next(scrub(store))
    list(running)


def test_several_roots_are_read(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    store = Store.open(roots)
    for number in range(8):
        publish(store, small_image(f"{number}"), f"a/b:{number}")
    assert {each.blob.root for each in scrub(store)} == {0, 1}
    store.close()


def test_reading_keeps_to_its_pace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(9 << 20))
    begun = time.monotonic()
    assert check(path, Pace(45 << 20)).size == 9 << 20
    assert time.monotonic() - begun >= 0.19


@pytest.mark.parametrize("size", [0, 1, 4096, (4 << 20) - 1, 4 << 20, (4 << 20) + 1])
def test_a_file_of_any_size_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    checked = check(path, Pace(None), Digest.of(content, "sha512"))
    assert (checked.size, checked.hex) == (size, Digest.of(content, "sha512").hex)
