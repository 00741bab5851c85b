"""Where an image comes from and what it is made of; and what a signed bundle says of images that were there before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference, RepositoryName, Tag, TagOrDigest
from registry.storage import history
from registry.storage.history import Cause, Event, Record
from registry.storage.index import Snapshot
from registry.storage.store import Store


@dataclass(frozen=True, slots=True)
class Part:
    """A manifest or a blob; `size` in bytes, `place` the storage root of a blob, and what it is in the image."""

    digest: Digest
    size: int
    kind: str
    is_here: bool = True
    place: Path | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of an image; `history` is that of its tag or, asked for by digest, of all its tags."""

    digest: Digest | None
    """None where only the history knows of it."""
    media_type: str | None
    manifests: tuple[Part, ...]
    """Its own first."""
    blobs: tuple[Part, ...]
    referrers: tuple[Part, ...]
    tags: tuple[Tag, ...]
    """Those of the repository that name it today."""
    history: tuple[Record, ...]
    origin: tuple[Record, ...]
    """For each of its names the record by which it came to the digest, and those that confirm it."""

    @property
    def size(self) -> int:
        """Of what is here."""
        return sum({part.digest: part.size for part in (*self.manifests, *self.blobs) if part.is_here}.values())


def explain(store: Store, name: RepositoryName, reference: TagOrDigest) -> Explanation:
    """What the store knows, from one snapshot; a name that is gone still has its history.

    Raises:
        ManifestUnknown: the repository never had one there, as far as the history knows.
    """
    with store.snapshot() as snapshot:
        digest = snapshot.tagged(name, reference) if isinstance(reference, Tag) else reference
        stored = None if digest is None else snapshot.manifest(name, digest)
        records = tuple(each for each in history.records(snapshot.rows) if _is_about(each, name, reference))
        if stored is None:
            if not records:
                raise ManifestUnknown(f"{name} has no {reference}")
            return Explanation(None, None, (), (), (), (), records, ())
        roots = {root.number: root.layout.root for root in store.blobs.roots}
        manifests, blobs = _parts(snapshot, name, stored.digest, roots)
        referrers = tuple(map(_referrer, snapshot.referrers(name, stored.digest)))
        tags = tuple(tag for tag, tagged in snapshot.tags(name) if tagged == stored.digest)
    asked = (reference,) if isinstance(reference, Tag) else tags
    origin = tuple(each for tag in asked for each in _origin(records, Reference(name, tag), stored.digest))
    return Explanation(stored.digest, stored.media_type, manifests, blobs, referrers, tags, records, origin)


def confirm(store: Store, images: Iterable[tuple[Reference, Digest]], cause: Cause) -> None:
    """Note that the signed bundle of `cause` holds images that are here already, where that is news."""
    wanted = dict(images)
    if not wanted:
        return
    proofs: dict[Reference, set[tuple[str | None, str | None]]] = {reference: set() for reference in wanted}
    with store.snapshot() as snapshot:
        for record in history.records(snapshot.rows):
            if record.reference in wanted:
                if record.event is not Event.CONFIRMED:
                    proofs[record.reference].clear()
                if record.cause is not None:
                    proofs[record.reference].add((record.cause.sha256, record.cause.signer))
    fresh = [each for each in wanted if (cause.sha256, cause.signer) not in proofs[each]]
    if fresh:
        with store.index.change(cause) as change:
            for each in fresh:
                change.confirm_tag(each.repository, each.tag, wanted[each])


def _is_about(record: Record, name: RepositoryName, reference: TagOrDigest) -> bool:
    if record.reference is None or record.reference.repository != name:
        return False
    if isinstance(reference, Tag):
        return record.reference.tag == reference
    return reference in (record.digest, record.before)


def _origin(records: Iterable[Record], reference: Reference, digest: Digest) -> list[Record]:
    """The last record that gave the name to the digest, and what confirms it; nothing if a later one took it away."""
    known: list[Record] = []
    for record in records:
        if record.reference != reference:
            continue
        if record.digest != digest:
            known = []
        elif record.event is Event.CONFIRMED:
            known.append(record)
        else:
            known = [record]
    return known


def _parts(
    snapshot: Snapshot, name: RepositoryName, root: Digest, roots: Mapping[int, Path]
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    manifests: dict[Digest, Part] = {}
    blobs: dict[Digest, Part] = {}
    waiting = [(root, 0, "")]
    while waiting:
        digest, size, platform = waiting.pop(0)
        if digest in manifests:
            continue
        stored = snapshot.manifest(name, digest)
        if stored is None:
            manifests[digest] = Part(digest, size, platform, is_here=False)
            continue
        manifest = Manifest.parse(stored.body, stored.media_type)
        manifests[digest] = Part(digest, len(stored.body), platform or manifest.artifact_type or stored.media_type)
        waiting += [(child.digest, child.size, child.platform or "") for child in manifest.children]
        blobs |= {blob.digest: _blob(snapshot, name, blob, roots) for blob in manifest.blobs}
    return tuple(manifests.values()), tuple(blobs.values())


def _blob(snapshot: Snapshot, name: RepositoryName, blob: Descriptor, roots: Mapping[int, Path]) -> Part:
    stored = snapshot.linked_blob(name, blob.digest)
    place = None if stored is None else roots.get(stored.root)
    return Part(blob.digest, blob.size, blob.media_type, stored is not None, place)


def _referrer(descriptor: Descriptor) -> Part:
    return Part(descriptor.digest, descriptor.size, descriptor.artifact_type or descriptor.media_type)
