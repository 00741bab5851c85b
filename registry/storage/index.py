"""The index: tags, manifests, links and referrers by repository, blobs by digest; rows become types here.

Other tables belong to the file that is named with them, and to nobody else.

table         key                             row
blobs         digest                          size, root, when a client was last told of it, xxh3_128
links         repository, digest              (a repository sees only the blobs that are linked to it)
manifests     digest                          the bytes as pushed
revisions     repository, digest              the media type under which the repository has the manifest, and since when
                                              it may be without a tag
tags          repository, tag                 digest
referrers     repository, subject, referrer   the referrer's descriptor
repositories  repository
roots         id of a storage root            its number, its path, whether it is lost: `members.py`
loads         bundle                          state and counts of its last load: `loads.py`
journals      bundle, number                  what loads remember of it: `journals.py`
care          kind of work                    how far it is, and what its last run did: `care.py`
history       number                          what changed a tag, when, and the hash of the record before: `history.py`
uploads       id                              repository, root, and the hashes of its bytes so far, if known:
                                              `upload_rows.py`
misses        upstream, repository, reference  how often that was asked for in vain, when and by whom: `ledger.py`
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference, RepositoryName, Tag
from registry.storage import history, keys
from registry.storage.blobs import StoredBlob
from registry.storage.environment import Environment, Reading, Rows
from registry.storage.errors import StorageFull, read_only
from registry.storage.history import UNTOLD, Cause, Event


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as a client gets it."""

    digest: Digest
    media_type: str
    body: bytes


class Snapshot:
    """The index as it was when the snapshot was taken."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @property
    def rows(self) -> Rows:
        """The tables themselves, for what looks at all of the store: `inventory.py`."""
        return self._rows

    def blob(self, digest: Digest) -> StoredBlob | None:
        """The blob, whichever repository it is in."""
        row = self._rows.get("blobs", keys.pack_digest(digest))
        if row is None:
            return None
        size, root, _, checksum = keys.unpack_blob(row)
        return StoredBlob(digest, size, root, checksum)

    def linked_blob(self, name: RepositoryName, digest: Digest) -> StoredBlob | None:
        """The blob, if the repository may see it."""
        if self._rows.get("links", keys.digest_key(name, digest)) is None:
            return None
        return self.blob(digest)

    def tagged(self, name: RepositoryName, tag: Tag) -> Digest | None:
        row = self._rows.get("tags", keys.tag_key(name, tag))
        return None if row is None else keys.unpack_digest(row)

    def manifest(self, name: RepositoryName, digest: Digest) -> StoredManifest | None:
        revision = self._rows.get("revisions", keys.digest_key(name, digest))
        body = self._rows.get("manifests", keys.pack_digest(digest))
        if revision is None or body is None:
            return None
        return StoredManifest(digest, keys.unpack_media_type(revision), body)

    def has_repository(self, name: RepositoryName) -> bool:
        return self._rows.get("repositories", name.encode()) is not None

    def repositories(self, after: str = "") -> Iterator[RepositoryName]:
        """In bytewise order, behind `after`, which need not exist."""
        for key, _ in self._rows.scan("repositories", after=after.encode()):
            yield RepositoryName(key.decode())

    def tags(self, name: RepositoryName, after: str = "") -> Iterator[tuple[Tag, Digest]]:
        """In bytewise order, behind `after`, which need not exist."""
        prefix = keys.repository_prefix(name)
        for key, row in self._rows.scan("tags", prefix, prefix + after.encode() if after else b""):
            yield Tag(key[len(prefix) :].decode()), keys.unpack_digest(row)

    def referrers(self, name: RepositoryName, subject: Digest) -> Iterator[Descriptor]:
        """In the order of their digests."""
        for _, row in self.referrer_rows(name, subject):
            yield Descriptor.parse(orjson.loads(row))

    def referrer_rows(
        self, name: RepositoryName, subject: Digest, after: Digest | None = None
    ) -> Iterator[tuple[Digest, bytes]]:
        """Each referrer behind `after`, which need not exist, and its descriptor as JSON, of up to 4 MiB."""
        prefix = keys.digest_key(name, subject)
        for key, row in self._rows.scan("referrers", prefix, prefix + keys.pack_digest(after) if after else b""):
            yield keys.unpack_digest(key[len(prefix) :]), row

    def count(self, table: str) -> int:
        """Rows in a table."""
        return self._rows.count(table)

    def stored_bytes(self) -> int:
        """The sizes of all blobs together."""
        return sum(keys.unpack_blob(row)[0] for _, row in self._rows.scan("blobs"))

    def has_manifest(self, name: RepositoryName, digest: Digest) -> bool:
        return self._rows.get("revisions", keys.digest_key(name, digest)) is not None

    def has_link(self, name: RepositoryName, digest: Digest) -> bool:
        return self._rows.get("links", keys.digest_key(name, digest)) is not None


class Change(Snapshot):
    """A write transaction; nothing of it is visible before all of it is durable.

    What happens to tags in it goes into the history, with its cause.
    """

    __slots__ = ("_cause",)

    def __init__(self, rows: Rows, cause: Cause = UNTOLD) -> None:
        super().__init__(rows)
        self._cause = cause

    def put_blob(self, blob: StoredBlob, told: float) -> None:
        """Remember a blob, and when a client was last told that it is here."""
        row = keys.pack_blob(blob.size, blob.root, told, blob.checksum)
        self._rows.put("blobs", keys.pack_digest(blob.digest), row)

    def link_blob(self, name: RepositoryName, digest: Digest) -> None:
        """Let the repository see a blob; the repository exists from then on."""
        self._rows.put("links", keys.digest_key(name, digest))
        self._rows.put("repositories", name.encode())

    def put_manifest(self, name: RepositoryName, digest: Digest, manifest: Manifest) -> None:
        """Store the manifest, and list it as a referrer of its subject."""
        self._rows.put("manifests", keys.pack_digest(digest), manifest.body)
        self._put_revision(name, digest, manifest.media_type)
        self._rows.put("repositories", name.encode())
        if manifest.subject is not None:
            row = orjson.dumps(manifest.descriptor(digest).to_json())
            self._rows.put("referrers", keys.referrer_key(name, manifest.subject.digest, digest), row)

    def put_tag(self, name: RepositoryName, tag: Tag, digest: Digest) -> None:
        """Move the tag; what it leaves counts as untagged from now on."""
        before = self.tagged(name, tag)
        if before == digest:
            return
        if before is not None:
            self._leave_untagged(name, before)
        history.append(self._rows, Event.SET, self._cause, Reference(name, tag), digest, before)
        self._rows.put("tags", keys.tag_key(name, tag), keys.pack_digest(digest))

    def confirm_tag(self, name: RepositoryName, tag: Tag, digest: Digest) -> None:
        """Note that the cause of this change knows the same image by this name, if it still is the same."""
        if self.tagged(name, tag) == digest:
            history.append(self._rows, Event.CONFIRMED, self._cause, Reference(name, tag), digest, digest)

    def delete_tag(self, name: RepositoryName, tag: Tag) -> bool:
        """Whether there was such a tag; what it leaves counts as untagged from now on."""
        before = self.tagged(name, tag)
        if before is None:
            return False
        self._leave_untagged(name, before)
        history.append(self._rows, Event.DELETED, self._cause, Reference(name, tag), None, before)
        return self._rows.delete("tags", keys.tag_key(name, tag))

    def delete_manifest(self, name: RepositoryName, digest: Digest) -> bool:
        """Take a manifest out of a repository, with every tag on it and its place among the referrers."""
        stored = self.manifest(name, digest)
        if stored is None:
            return False
        for tag in [tag for tag, tagged in self.tags(name) if tagged == digest]:
            self.delete_tag(name, tag)
        self._rows.delete("revisions", keys.digest_key(name, digest))
        subject = Manifest.parse(stored.body, stored.media_type).subject
        if subject is not None:
            self._rows.delete("referrers", keys.referrer_key(name, subject.digest, digest))
        return True

    def unlink_blob(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the repository saw such a blob; others still do."""
        return self._rows.delete("links", keys.digest_key(name, digest))

    def _leave_untagged(self, name: RepositoryName, digest: Digest) -> None:
        stored = self.manifest(name, digest)
        if stored is not None:
            self._put_revision(name, digest, stored.media_type)

    def _put_revision(self, name: RepositoryName, digest: Digest, media_type: str) -> None:
        self._rows.put("revisions", keys.digest_key(name, digest), keys.pack_revision(media_type, time.time()))


class Snapshots:
    """The block in which a snapshot is read."""

    __slots__ = ("_reading",)

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __enter__(self) -> Snapshot:
        return Snapshot(self._reading)

    def __exit__(self, *_: object) -> None:
        self._reading.__exit__()


class Index:
    """Snapshots and changes of the index at a path; safe for threads, and for many processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._environment = Environment(path)

    @property
    def read_only(self) -> bool:
        """Whether the disk is: then nobody can change the index."""
        return self._environment.read_only

    def require_writable(self) -> None:
        """Raise StorageReadOnly if it is not."""
        if self.read_only:
            raise read_only(self._path)

    def version(self) -> int | None:
        """Another number after every change, whichever process made it; None where the index cannot be read."""
        return self._environment.version()

    def snapshot(self) -> Snapshots:
        """The whole index at one instant, until the block is left."""
        return Snapshots(self._environment.reading())

    @contextlib.contextmanager
    def change(self, cause: Cause = UNTOLD) -> Iterator[Change]:
        """Changes to the index; all of them or, when the block raises, none.

        Raises:
            StorageFull: the disk is; nothing has changed.
        """
        with self._environment.writing() as rows:
            yield Change(rows, cause)

    def begin_history(self) -> None:
        """Write down the tags that are there, unless that was done; on a full disk their first change does it."""
        with self.snapshot() as snapshot:
            if history.head(snapshot.rows) is not None or snapshot.count("history"):
                return
        with contextlib.suppress(StorageFull), self.change() as change:
            history.begin(change.rows)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Snapshot]:
        """The index as it is, and as it stays until the block is left: nobody can change it meanwhile."""
        with self._environment.reading() if self.read_only else self._environment.writing() as rows:
            yield Snapshot(rows)

    def close(self) -> None:
        self._environment.close()
