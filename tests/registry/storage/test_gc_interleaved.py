"""Whatever clients do between any two steps of gc, what a tag leads to is complete."""

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.layout import CONFIG, INDEX, LAYER, MANIFEST
from registry.oci.digest import Digest
from registry.oci.errors import ManifestBlobUnknown, ManifestUnknown
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage import gc, inventory
from registry.storage.blobs import StoredBlob
from registry.storage.errors import BlobGone
from registry.storage.fsck import fsck
from registry.storage.gc import Collection, Policy, Removed
from registry.storage.naming import name_blob
from registry.storage.store import Image, Store
from tests.images import write_blob

NAMES = [RepositoryName("a"), RepositoryName("a/b")]
TAGS = [Tag("1"), Tag("2")]
CONTENTS = [b'{"os":"linux"}', b"one", b"two", b"three"]

STEPS = 500


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content)}


def image_of(layers: list[bytes]) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, CONTENTS[0]),
        "layers": [descriptor(LAYER, layer) for layer in layers],
    }
    return Manifest.parse(json.dumps(document).encode())


class Interleaved:
    """Clients, a load, and one gc that goes on by single steps; nothing is young enough to be spared."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.store = Store.open([folder / "one", folder / "two"])
        self.gc: Iterator[Removed] = iter(())
        self.written: list[StoredBlob] = []
        self.seed = random.Random(seed)

    def do_something(self) -> None:
        name, source, tag = self.seed.choice(NAMES), self.seed.choice(NAMES), self.seed.choice(TAGS)
        layers = self.seed.sample(CONTENTS[1:], self.seed.randint(1, 2))
        content = self.seed.choice(CONTENTS)
        match self.seed.randrange(12):
            case 0:
                self.begin_gc(self.seed.random() < 0.5)
            case 1:
                self.push_blob(name, content)
            case 2:
                self.put_a_file_in_place(content)
            case 3:
                self.name_what_is_in_place(name)
            case 4:
                self.mount(name, source, content)
            case 5:
                self.push(name, tag, layers)
            case 6 | 7:
                self.put_image(name, tag, layers)
            case 8:
                self.put_index(name, tag, [layers, CONTENTS[1:2]])
            case 9:
                self.load(name, tag, layers)
            case _:
                self.delete_tag(name, tag)

    def close(self) -> None:
        list(self.gc)
        list(Collection(self.store, Policy(0, 0, untagged=True)).removals())
        assert list(fsck(self.store)) == []
        with self.store.snapshot() as snapshot:
            rows = {self.store.blobs.path(blob.root, blob.digest) for blob, _ in inventory.blobs(snapshot)}
        assert {path for path in self.folder.glob("*/blobs/*/*/*") if path.is_file()} == rows
        self.store.close()

    def begin_gc(self, untagged: bool) -> None:
        list(self.gc)
        self.gc = Collection(self.store, Policy(0, 0, untagged)).removals()

    def go_on_with_gc(self, steps: int) -> None:
        for _ in range(steps):
            next(self.gc, None)

    def push_blob(self, name: RepositoryName, content: bytes) -> None:
        upload = self.store.uploads.start(name)
        self.store.uploads.finish(name, upload, Digest.of(content), [content], None)

    def put_a_file_in_place(self, content: bytes) -> None:
        self.written.append(write_blob(self.store, content))

    def name_what_is_in_place(self, name: RepositoryName) -> None:
        while self.written:
            blob = self.written.pop()
            with suppress(BlobGone), self.store.index.change() as change:
                name_blob(change, self.store.blobs, blob)
                change.link_blob(name, blob.digest)

    def mount(self, name: RepositoryName, source: RepositoryName, content: bytes) -> None:
        self.store.mount_blob(name, Digest.of(content), source)

    def push(self, name: RepositoryName, tag: Tag, layers: list[bytes]) -> None:
        for content in (CONTENTS[0], *layers):
            self.push_blob(name, content)
        self.put_image(name, tag, layers)

    def put_image(self, name: RepositoryName, tag: Tag, layers: list[bytes]) -> None:
        manifest = image_of(layers)
        with suppress(ManifestBlobUnknown):
            self.store.put_manifest(name, Digest.of(manifest.body), manifest, [tag])

    def put_index(self, name: RepositoryName, tag: Tag, children: list[list[bytes]]) -> None:
        listed = [descriptor(MANIFEST, image_of(each).body) for each in children]
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        with suppress(ManifestBlobUnknown):
            self.store.put_manifest(name, Digest.of(body), Manifest.parse(body), [tag])

    def load(self, name: RepositoryName, tag: Tag, layers: list[bytes]) -> None:
        """It passes over what the store has, gc goes on, and then it names all."""
        manifest = image_of(layers)
        digest = Digest.of(manifest.body)
        with self.store.loads.alone():
            wanted = [CONTENTS[0], *layers]
            blobs = [self.store.find_blob(Digest.of(each)) or write_blob(self.store, each) for each in wanted]
            for _ in range(3):
                next(self.gc, None)
            self.store.publish(Image(Reference(name, tag), digest, ((digest, manifest),), tuple(blobs)))

    def delete_tag(self, name: RepositoryName, tag: Tag) -> None:
        with suppress(ManifestUnknown):
            self.store.delete_manifest(name, tag)

    def no_row_is_without_its_file_and_no_link_without_its_row(self) -> None:
        with self.store.snapshot() as snapshot:
            assert all(self.store.blobs.has(blob) for blob, _ in inventory.blobs(snapshot))
            assert all(snapshot.blob(digest) for name in NAMES for digest in inventory.links(snapshot, name))

    def what_is_tagged_is_complete(self) -> None:
        with self.store.snapshot() as snapshot:
            for name in NAMES:
                waiting = [digest for _, digest in snapshot.tags(name)]
                while waiting:
                    stored = snapshot.manifest(name, waiting.pop())
                    assert stored is not None
                    manifest = Manifest.parse(stored.body, stored.media_type)
                    for blob in manifest.blobs:
                        found = snapshot.linked_blob(name, blob.digest)
                        assert found is not None
                        assert self.store.blobs.has(found)
                    waiting += [child.digest for child in manifest.children]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_between_two_steps_of_gc_images_stay_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(gc, "_ROWS", 1)  # so that clients come between any two rows
    interleaved = Interleaved(tmp_path, seed)
    for _ in range(STEPS):
        interleaved.do_something()
        interleaved.go_on_with_gc(interleaved.seed.randrange(3))
        interleaved.no_row_is_without_its_file_and_no_link_without_its_row()
        interleaved.what_is_tagged_is_complete()
    interleaved.close()
