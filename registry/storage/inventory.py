"""All of the index, row by row: what gc, scrub, fsck and stats ask of it, and take out of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName
from registry.storage import keys
from registry.storage.blobs import StoredBlob
from registry.storage.index import Change, Snapshot


@dataclass(frozen=True, slots=True)
class Revision:
    """A manifest that a repository has; `since` is when it was pushed, or lost a tag."""

    digest: Digest
    media_type: str
    since: float


@dataclass(frozen=True, slots=True)
class Referral:
    """A row that lists `referrer` among the referrers of `subject`."""

    subject: Digest
    referrer: Digest
    row: bytes


def blobs(snapshot: Snapshot, after: Digest | None = None) -> Iterator[tuple[StoredBlob, float]]:
    """Every blob behind `after`, in the order of digests, and when a client was last told of it."""
    for key, row in snapshot.rows.scan("blobs", after=keys.pack_digest(after) if after else b""):
        size, root, told, checksum = keys.unpack_blob(row)
        yield StoredBlob(keys.unpack_digest(key), size, root, checksum), told


def roots_in_use(snapshot: Snapshot) -> set[int]:
    """The numbers of the storage roots that have blobs."""
    return {keys.unpack_blob(row)[1] for _, row in snapshot.rows.scan("blobs")}


def last_told(snapshot: Snapshot, digest: Digest) -> float:
    """When a client was last told that a blob is here; 0 where there is none."""
    row = snapshot.rows.get("blobs", keys.pack_digest(digest))
    return 0.0 if row is None else keys.unpack_blob(row)[2]


def links(snapshot: Snapshot, name: RepositoryName) -> Iterator[Digest]:
    """The blobs that a repository sees."""
    prefix = keys.repository_prefix(name)
    for key, _ in snapshot.rows.scan("links", prefix):
        yield keys.unpack_digest(key[len(prefix) :])


def revisions(snapshot: Snapshot, name: RepositoryName) -> Iterator[Revision]:
    """The manifests that a repository has."""
    prefix = keys.repository_prefix(name)
    for key, row in snapshot.rows.scan("revisions", prefix):
        yield Revision(keys.unpack_digest(key[len(prefix) :]), *keys.unpack_revision(row))


def referrals(snapshot: Snapshot, name: RepositoryName) -> Iterator[Referral]:
    """The rows of the referrers of a repository."""
    prefix = keys.repository_prefix(name)
    for key, row in snapshot.rows.scan("referrers", prefix):
        subject, referrer = _two_digests(key[len(prefix) :])
        yield Referral(subject, referrer, row)


def manifests(snapshot: Snapshot) -> Iterator[tuple[Digest, bytes]]:
    """The bytes of every manifest, whether a repository has it or not."""
    for key, body in snapshot.rows.scan("manifests"):
        yield keys.unpack_digest(key), body


def repositories(snapshot: Snapshot) -> Iterator[RepositoryName]:
    """Those that the index lists, and those that only have content."""
    listed = set(snapshot.repositories())
    yield from sorted(listed)
    for table in ("links", "revisions", "tags", "referrers"):
        for name in _names(snapshot, table):
            if name not in listed:
                listed.add(name)
                yield name


def has_content(snapshot: Snapshot, name: RepositoryName) -> bool:
    """Whether a repository has a blob, a manifest or a tag."""
    prefix = keys.repository_prefix(name)
    return any(next(snapshot.rows.scan(table, prefix), None) for table in ("links", "revisions", "tags"))


def referral(manifest: Manifest, digest: Digest) -> bytes:
    """The row that lists a manifest among the referrers of its subject."""
    return orjson.dumps(manifest.descriptor(digest).to_json())


def delete_blob(change: Change, digest: Digest) -> None:
    change.rows.delete("blobs", keys.pack_digest(digest))


def delete_manifest(change: Change, digest: Digest) -> None:
    """Forget the bytes of a manifest, for all repositories."""
    change.rows.delete("manifests", keys.pack_digest(digest))


def delete_revision(change: Change, name: RepositoryName, digest: Digest) -> None:
    change.rows.delete("revisions", keys.digest_key(name, digest))


def put_referral(change: Change, name: RepositoryName, one: Referral) -> None:
    change.rows.put("referrers", keys.referrer_key(name, one.subject, one.referrer), one.row)


def delete_referral(change: Change, name: RepositoryName, subject: Digest, referrer: Digest) -> None:
    change.rows.delete("referrers", keys.referrer_key(name, subject, referrer))


def put_repository(change: Change, name: RepositoryName) -> None:
    change.rows.put("repositories", name.encode())


def delete_repository(change: Change, name: RepositoryName) -> None:
    change.rows.delete("repositories", name.encode())


def _names(snapshot: Snapshot, table: str) -> Iterator[RepositoryName]:
    """The repositories that have rows in a table, each found by one jump over the rows of the one before."""
    after = b""
    while (found := next(snapshot.rows.scan(table, after=after), None)) is not None:
        name = found[0].partition(keys.SEPARATOR)[0]
        yield RepositoryName(name.decode())
        after = name + b"\x01"


def _two_digests(packed: bytes) -> tuple[Digest, Digest]:
    length = keys.packed_length(packed)
    return keys.unpack_digest(packed[:length]), keys.unpack_digest(packed[length:])
