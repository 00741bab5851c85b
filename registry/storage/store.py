"""The store: what a resource or the loader asks for, done in the safe order. The one door to blobs and index."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
)
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference, RepositoryName, Tag, TagOrDigest
from registry.storage.binaries import Binaries
from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.condition import UNCONDITIONAL, Condition
from registry.storage.history import UNTOLD, Cause
from registry.storage.index import Index, Snapshots, StoredManifest
from registry.storage.ledger import Ledger
from registry.storage.loads import Loads, put_load_state
from registry.storage.locks import locked
from registry.storage.members import admit, refuse_stand_ins, require_all
from registry.storage.naming import link_blobs, name_blob, require_content
from registry.storage.reserve import keep_reserve
from registry.storage.roots import index_root, open_roots, require_index
from registry.storage.sessions import Sessions

UPLOAD_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Image:
    """All that a name stands for: a root manifest, the manifests below it, the blobs they need.

    `blobs` may leave out what the index has already.
    """

    reference: Reference
    root: Digest
    manifests: tuple[tuple[Digest, Manifest], ...]
    blobs: tuple[StoredBlob, ...]


class Store:
    """Blobs and names together; safe for threads and for many processes at once."""

    def __init__(self, blobs: BlobStore, index: Index, upload_limit: int = UPLOAD_LIMIT) -> None:
        self.blobs = blobs
        self._index = index
        self.uploads = Sessions(blobs, index, upload_limit)
        self.ledger = Ledger(index)
        self.layout = index_root(blobs.roots).layout
        """Of the root that has the index, and the locks."""
        self.loads = Loads(blobs, index, self.layout)
        self.binaries = Binaries(blobs, index, self.layout.files)

    @classmethod
    def open(
        cls, paths: Sequence[Path], *, create: bool = True, whole: bool = True, upload_limit: int = UPLOAD_LIMIT
    ) -> Self:
        """The store over these roots; in a new store the first one gets the index.

        Only who gives up a root opens a store that is not `whole`.

        Raises:
            StorageMissing: there is none, and `create` is off.
            RootMissing: blobs of the store are in a root that is not there or not named.
            StorageForeign: a directory is something else, of a newer release, or of another store.
            StorageUnusable: a directory cannot be read or written, or the index is damaged, or, with `create`
                off, lost.
        """
        if create:
            refuse_stand_ins(paths)
        roots = open_roots(paths, create=create)
        home = index_root(roots).layout
        if not create:
            require_index(roots)
        index = Index(home.index)
        if whole:
            require_all(index, roots, paths)
        numbered = admit(index, roots)
        if not index.read_only:
            index.begin_history()
            keep_reserve(home.reserve)
        return cls(BlobStore(numbered), index, upload_limit)

    def close(self) -> None:
        self._index.close()

    @property
    def index(self) -> Index:
        """For the care of the store: gc, scrub and fsck."""
        return self._index

    @property
    def token_key(self) -> Path:
        """Where the key lies that signs tokens."""
        return self.layout.token_key

    # Reading

    def get_manifest(self, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        """The manifest behind a tag or digest.

        Raises:
            ManifestUnknown: the repository has none there, or there is no such repository.
        """
        with self._index.snapshot() as snapshot:
            digest = snapshot.tagged(name, reference) if isinstance(reference, Tag) else reference
            manifest = None if digest is None else snapshot.manifest(name, digest)
        if manifest is None:
            raise ManifestUnknown(f"{name} has no {reference}")
        return manifest

    def stat_blob(self, name: RepositoryName, digest: Digest) -> StoredBlob:
        """What is known of a blob of this repository, without touching its file.

        Raises:
            BlobUnknown: the repository has no such blob, whatever others have.
        """
        with self._index.snapshot() as snapshot:
            blob = snapshot.linked_blob(name, digest)
        if blob is None:
            raise BlobUnknown(f"{name} has no {digest}")
        return blob

    def find_blob(self, digest: Digest) -> StoredBlob | None:
        """The blob, whichever repository has it, if its file is in place: what a load need not bring again."""
        with self._index.snapshot() as snapshot:
            blob = snapshot.blob(digest)
        return blob if blob is not None and self.blobs.has(blob) else None

    def has_image(self, image: Image) -> bool:
        """Whether the name stands for this image already, and all that it needs can be pulled."""
        name = image.reference.repository
        with self._index.snapshot() as snapshot:
            blobs = [snapshot.linked_blob(name, blob.digest) for blob in image.blobs]
            return (
                snapshot.tagged(name, image.reference.tag) == image.root
                and all(snapshot.manifest(name, digest) is not None for digest, _ in image.manifests)
                and all(blob is not None and self.blobs.has(blob) for blob in blobs)
            )

    def open_blob(self, blob: StoredBlob) -> BinaryIO:
        """The blob's file, unbuffered, to be read or given to sendfile.

        Raises:
            StorageUnusable: the file is gone although the index names it.
        """
        return self.blobs.open(blob.root, blob.digest)

    def read_cached_blob(self, blob: StoredBlob, first: int, length: int) -> bytes | None:
        """A part of a small blob, in one piece; None if it has to come from the disk.

        Raises:
            StorageUnusable: as `open_blob`, or the file is too short.
        """
        return self.blobs.read_cached(blob.root, blob.digest, first, length)

    def list_tags(self, name: RepositoryName, last: str, limit: int | None) -> list[Tag]:
        """Up to `limit` tags behind `last`, bytewise sorted.

        Raises:
            NameUnknown: no such repository.
        """
        with self._index.snapshot() as snapshot:
            if not snapshot.has_repository(name):
                raise NameUnknown(name)
            return [tag for tag, _ in itertools.islice(snapshot.tags(name, last), limit)]

    def list_repositories(self, last: str, limit: int | None) -> list[RepositoryName]:
        """Up to `limit` repositories behind `last`, bytewise sorted."""
        with self._index.snapshot() as snapshot:
            return list(itertools.islice(snapshot.repositories(last), limit))

    def list_referrers(self, name: RepositoryName, subject: Digest) -> list[Descriptor]:
        """Manifests of this repository that name `subject`, whether it exists or not."""
        with self._index.snapshot() as snapshot:
            return list(snapshot.referrers(name, subject))

    def stored_bytes(self) -> int:
        """The sizes of all blobs together."""
        with self._index.snapshot() as snapshot:
            return snapshot.stored_bytes()

    def snapshot(self) -> Snapshots:
        """The whole index at one instant, until the block is left."""
        return self._index.snapshot()

    # Writing: content before names

    def publish(self, image: Image, load: tuple[str, dict[str, object]] | None = None, cause: Cause = UNTOLD) -> None:
        """Let an image be seen, whole, in one transaction. Its blobs must be durable.

        `load` is the bundle that it comes from, and how its load stands with this image; `cause` is for the history.

        Raises:
            ManifestBlobUnknown: a blob or manifest it needs is neither in it nor in the store.
        """
        name = image.reference.repository
        with self._index.change(cause) as change:
            for blob in image.blobs:
                name_blob(change, self.blobs, blob)
            for digest, manifest in image.manifests:
                link_blobs(change, name, manifest)
                change.put_manifest(name, digest, manifest)
            if change.manifest(name, image.root) is None:
                raise ManifestBlobUnknown(f"{image.reference}: root manifest {image.root}")
            change.put_tag(name, image.reference.tag, image.root)
            if load is not None:
                put_load_state(change, *load)

    def put_manifest(
        self,
        name: RepositoryName,
        digest: Digest,
        manifest: Manifest,
        tags: Sequence[Tag],
        condition: Condition = UNCONDITIONAL,
        cause: Cause = UNTOLD,
    ) -> None:
        """Store a manifest under its digest and tags, in one transaction.

        Raises:
            ManifestBlobUnknown: it needs a blob or manifest that this repository does not have.
            PreconditionFailed: `condition` does not hold for what the first tag, or the digest, is now.
        """
        with self._index.change(cause) as change:
            present = digest if change.has_manifest(name, digest) else None
            condition.require(change.tagged(name, tags[0]) if tags else present)
            require_content(change, name, manifest)
            change.put_manifest(name, digest, manifest)
            for tag in tags:
                change.put_tag(name, tag, digest)

    def add_blob(self, name: RepositoryName, blob: StoredBlob) -> None:
        """Let a repository see a durable blob before any manifest needs it: a killed transfer need not repeat it."""
        with self._index.change() as change:
            name_blob(change, self.blobs, blob)
            change.link_blob(name, blob.digest)

    def mount_blob(self, name: RepositoryName, digest: Digest, source: RepositoryName | None) -> bool:
        """Let a repository see a blob that `source`, or without it any repository, has; False where none has it."""
        with self._index.change() as change:
            blob = change.blob(digest)
            if blob is None or not self.blobs.has(blob):
                return False
            if source is None or change.has_link(source, digest) or change.has_link(name, digest):
                name_blob(change, self.blobs, blob)
                change.link_blob(name, digest)
                return True
            return False

    def delete_manifest(
        self,
        name: RepositoryName,
        reference: TagOrDigest,
        cause: Cause = UNTOLD,
        condition: Condition = UNCONDITIONAL,
    ) -> None:
        """Take away a tag alone, or a manifest with every tag on it.

        Raises:
            ManifestUnknown: the repository has none there.
            PreconditionFailed: `condition` does not hold for what is there.
        """
        with self._index.change(cause) as change:
            present = change.tagged(name, reference) if isinstance(reference, Tag) else reference
            if isinstance(reference, Tag):
                found = change.delete_tag(name, reference)
            else:
                found = change.delete_manifest(name, reference)
            if not found:
                raise ManifestUnknown(f"{name} has no {reference}")
            condition.require(present)

    def delete_blob(self, name: RepositoryName, digest: Digest, condition: Condition = UNCONDITIONAL) -> None:
        """Let a repository see a blob no longer; its bytes stay until gc finds that nobody does.

        Raises:
            BlobUnknown: it saw none.
            PreconditionFailed: `condition` does not hold for it.
        """
        with self._index.change() as change:
            if not change.unlink_blob(name, digest):
                raise BlobUnknown(f"{name} has no {digest}")
            condition.require(digest)

    @contextmanager
    def housekeeping(self) -> Iterator[bool]:
        """Whether this thread, of all processes, is the one to clean up now."""
        with locked(self.layout.housekeeping_lock) as alone:
            yield alone
