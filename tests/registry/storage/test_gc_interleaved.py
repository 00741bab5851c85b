"""Whatever clients do between any two steps of gc, what a tag leads to is complete."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

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

names, tags = st.sampled_from(NAMES), st.sampled_from(TAGS)
contents = st.sampled_from(CONTENTS)
layers = st.lists(st.sampled_from(CONTENTS[1:]), min_size=1, max_size=2, unique=True)


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


class Interleaved(RuleBasedStateMachine):
    """Clients, a load, and one gc that goes on by single steps; nothing is young enough to be spared."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_at_once, gc._ROWS = gc._ROWS, 1  # so that clients come between any two rows
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.open([self.folder / "one", self.folder / "two"])
        self.gc: Iterator[Removed] = iter(())
        self.written: list[StoredBlob] = []

    def teardown(self) -> None:
        list(self.gc)
        list(Collection(self.store, Policy(0, 0, untagged=True)).removals())
        assert list(fsck(self.store)) == []
        with self.store.snapshot() as snapshot:
            rows = {self.store.blobs.path(blob.root, blob.digest) for blob, _ in inventory.blobs(snapshot)}
        assert {path for path in self.folder.glob("*/blobs/*/*/*") if path.is_file()} == rows
        self.store.close()
        gc._ROWS = self.rows_at_once
        shutil.rmtree(self.folder)

    @rule(untagged=st.booleans())
    def begin_gc(self, untagged: bool) -> None:
        list(self.gc)
        self.gc = Collection(self.store, Policy(0, 0, untagged)).removals()

    @rule(steps=st.integers(1, 4))
    def go_on_with_gc(self, steps: int) -> None:
        for _ in range(steps):
            next(self.gc, None)

    @rule(name=names, content=contents)
    def push_blob(self, name: RepositoryName, content: bytes) -> None:
        upload = self.store.uploads.start(name)
        self.store.uploads.finish(name, upload, Digest.of(content), [content], None)

    @rule(content=contents)
    def put_a_file_in_place(self, content: bytes) -> None:
        self.written.append(write_blob(self.store, content))

    @rule(name=names)
    def name_what_is_in_place(self, name: RepositoryName) -> None:
        if self.written:
            blob = self.written.pop()
            with suppress(BlobGone), self.store.index.change() as change:
                name_blob(change, self.store.blobs, blob)
                change.link_blob(name, blob.digest)

    @rule(name=names, source=names, content=contents)
    def mount(self, name: RepositoryName, source: RepositoryName, content: bytes) -> None:
        self.store.mount_blob(name, Digest.of(content), source)

    @rule(name=names, tag=tags, layers=layers)
    def put_image(self, name: RepositoryName, tag: Tag, layers: list[bytes]) -> None:
        manifest = image_of(layers)
        with suppress(ManifestBlobUnknown):
            self.store.put_manifest(name, Digest.of(manifest.body), manifest, [tag])

    @rule(name=names, tag=tags, children=st.lists(layers, min_size=1, max_size=2))
    def put_index(self, name: RepositoryName, tag: Tag, children: list[list[bytes]]) -> None:
        listed = [descriptor(MANIFEST, image_of(each).body) for each in children]
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        with suppress(ManifestBlobUnknown):
            self.store.put_manifest(name, Digest.of(body), Manifest.parse(body), [tag])

    @rule(name=names, tag=tags, layers=layers)
    def load(self, name: RepositoryName, tag: Tag, layers: list[bytes]) -> None:
        """It passes over what the store has, gc goes on, and then it names all."""
        manifest = image_of(layers)
        digest = Digest.of(manifest.body)
        with self.store.loading():
            wanted = [CONTENTS[0], *layers]
            blobs = [self.store.find_blob(Digest.of(each)) or write_blob(self.store, each) for each in wanted]
            for _ in range(3):
                next(self.gc, None)
            self.store.publish(Image(Reference(name, tag), digest, ((digest, manifest),), tuple(blobs)))

    @rule(name=names, tag=tags)
    def delete_tag(self, name: RepositoryName, tag: Tag) -> None:
        with suppress(ManifestUnknown):
            self.store.delete_manifest(name, tag)

    @invariant()
    def no_row_is_without_its_file_and_no_link_without_its_row(self) -> None:
        with self.store.snapshot() as snapshot:
            assert all(self.store.blobs.has(blob) for blob, _ in inventory.blobs(snapshot))
            assert all(snapshot.blob(digest) for name in NAMES for digest in inventory.links(snapshot, name))

    @invariant()
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


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
