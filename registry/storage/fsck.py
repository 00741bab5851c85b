"""The index compared with the files, and with itself, without reading blobs: that is what scrub is for.

Each check runs over a snapshot. To repair, the same check runs again in a write transaction, and
what it finds there is mended there. Nothing that could still be of use is removed: a blob that is
missing keeps its links, so that a push or a load of it makes all repositories whole.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import Manifest
from registry.oci.reference import RepositoryName
from registry.storage import inventory
from registry.storage.blobs import StoredBlob
from registry.storage.gc import Collection, Policy
from registry.storage.history import Cause, local_user
from registry.storage.index import Change, Snapshot
from registry.storage.inventory import Referral
from registry.storage.reserve import spending
from registry.storage.store import Store

_ROWS = 1000
_BRING_AGAIN = "push it, or load its bundle, again"

Mend = Callable[[Change], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `remedy` is what repair does, or who else must act."""

    subject: str
    fault: str
    remedy: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class _Problem:
    """A finding, and how to mend it where that can be done here."""

    subject: str
    fault: str
    remedy: str
    mend: Mend | None = None


_Check = Callable[[Snapshot], Iterator[_Problem]]


def fsck(store: Store, *, repair: bool = False) -> Iterator[Finding]:
    """Every fault; with `repair` after it is mended.

    Raises:
        RootMissing: the disk of a root has gone.
    """
    with spending(store.layout.reserve):
        for check in _checks(store):
            yield from _run(store, check, repair=repair)
    removed = Collection(store, Policy(dry_run=not repair)).stray_files()
    for each in removed:
        yield Finding(f"file of {each.name}", f"has no row ({each.size} bytes)", "remove the file", repair)


def _checks(store: Store) -> Iterator[_Check]:
    """In this order: what one repairs is seen by the next."""
    yield _check_bodies
    place: Digest | None = None
    while True:
        with store.index.snapshot() as snapshot:
            batch = [blob.digest for blob, _ in itertools.islice(inventory.blobs(snapshot, place), _ROWS)]
        if not batch:
            break
        yield partial(_check_blobs, store, batch)
        place = batch[-1]
    with store.index.snapshot() as snapshot:
        names = list(inventory.repositories(snapshot))
    for name in names:
        yield partial(_check_repository, name)


def _run(store: Store, check: _Check, *, repair: bool) -> Iterator[Finding]:
    with store.index.snapshot() as snapshot:
        problems = list(check(snapshot))
    if problems and repair:
        with store.index.change(Cause("fsck", local_user())) as change:
            problems = list(check(change))
            for mend in [problem.mend for problem in problems if problem.mend is not None]:
                mend(change)
    for each in problems:
        yield Finding(each.subject, each.fault, each.remedy, repair and each.mend is not None)


def _check_bodies(snapshot: Snapshot) -> Iterator[_Problem]:
    for digest, body in inventory.manifests(snapshot):
        if Digest.of(body, digest.algorithm) != digest:
            mend = partial(inventory.delete_manifest, digest=digest)
            yield _Problem(f"manifest {digest}", "has other bytes", f"remove it; then {_BRING_AGAIN}", mend)


def _check_blobs(store: Store, digests: list[Digest], snapshot: Snapshot) -> Iterator[_Problem]:
    for blob in filter(None, map(snapshot.blob, digests)):
        fault = _file_fault(store, blob)
        if fault is not None:
            mend = partial(inventory.delete_blob, digest=blob.digest)
            yield _Problem(f"blob {blob.digest}", fault, f"remove its row; then {_BRING_AGAIN}", mend)


def _file_fault(store: Store, blob: StoredBlob) -> str | None:
    try:
        size = store.blobs.path(blob.root, blob.digest).stat().st_size
    except FileNotFoundError:
        store.blobs.require_root(blob.root)
        return "has no file"
    return None if size == blob.size else f"has {size} bytes on disk, and {blob.size} in the index"


def _check_repository(name: RepositoryName, snapshot: Snapshot) -> Iterator[_Problem]:
    manifests: dict[Digest, Manifest] = {}
    for revision in inventory.revisions(snapshot, name):
        stored = snapshot.manifest(name, revision.digest)
        try:
            if stored is not None:
                manifests[revision.digest] = Manifest.parse(stored.body, stored.media_type)
                continue
            fault = "is listed, and its bytes are lost"
        except OCIError as error:
            fault = f"cannot be read: {error}"
        mend = partial(_forget_revision, name=name, digest=revision.digest)
        yield _Problem(f"{name}@{revision.digest}", fault, f"remove it; then {_BRING_AGAIN}", mend)
    yield from _check_tags(name, snapshot, manifests)
    yield from _check_needs(name, snapshot, manifests)
    yield from _check_links(name, snapshot, manifests)
    yield from _check_referrals(name, snapshot, manifests)
    yield from _check_listing(name, snapshot)


def _check_tags(name: RepositoryName, snapshot: Snapshot, manifests: dict[Digest, Manifest]) -> Iterator[_Problem]:
    for tag, digest in snapshot.tags(name):
        if digest not in manifests:
            fault = f"names {digest}, which is not there"
            mend = partial(Change.delete_tag, name=name, tag=tag)
            yield _Problem(f"{name}:{tag}", fault, f"remove the tag; then {_BRING_AGAIN}", mend)


def _check_needs(name: RepositoryName, snapshot: Snapshot, manifests: dict[Digest, Manifest]) -> Iterator[_Problem]:
    for digest, manifest in manifests.items():
        for blob in manifest.blobs:
            if snapshot.linked_blob(name, blob.digest) is None and blob.digest not in manifests:
                yield _Problem(f"{name}@{digest}", f"needs blob {blob.digest}, which is not there", _BRING_AGAIN)
        for child in manifest.children:
            if child.digest not in manifests:
                yield _Problem(f"{name}@{digest}", f"lists {child.digest}, which is not there", _BRING_AGAIN)


def _check_links(name: RepositoryName, snapshot: Snapshot, manifests: dict[Digest, Manifest]) -> Iterator[_Problem]:
    needed = {blob.digest for manifest in manifests.values() for blob in manifest.blobs}
    for digest in inventory.links(snapshot, name):
        if digest not in needed and snapshot.blob(digest) is None:
            mend = partial(Change.unlink_blob, name=name, digest=digest)
            yield _Problem(f"{name}@{digest}", "is a link to a blob that is not there", "remove the link", mend)


def _check_referrals(name: RepositoryName, snapshot: Snapshot, manifests: dict[Digest, Manifest]) -> Iterator[_Problem]:
    wanted = {
        (manifest.subject.digest, digest): Referral(
            manifest.subject.digest, digest, inventory.referral(manifest, digest)
        )
        for digest, manifest in manifests.items()
        if manifest.subject is not None
    }
    found = {(each.subject, each.referrer): each for each in inventory.referrals(snapshot, name)}
    for key, each in wanted.items():
        if found.get(key) != each:
            fault = f"is not listed rightly as a referrer of {each.subject}"
            put = partial(inventory.put_referral, name=name, one=each)
            yield _Problem(f"{name}@{each.referrer}", fault, "list it", put)
    for subject, referrer in found.keys() - wanted.keys():
        drop = partial(inventory.delete_referral, name=name, subject=subject, referrer=referrer)
        yield _Problem(f"{name}@{referrer}", f"is listed as a referrer of {subject}, and is none", "remove it", drop)


def _check_listing(name: RepositoryName, snapshot: Snapshot) -> Iterator[_Problem]:
    is_listed, has_content = snapshot.has_repository(name), inventory.has_content(snapshot, name)
    if has_content and not is_listed:
        yield _Problem(f"repository {name}", "is not listed", "list it", partial(inventory.put_repository, name=name))
    elif is_listed and not has_content:
        drop = partial(inventory.delete_repository, name=name)
        yield _Problem(f"repository {name}", "has nothing in it", "remove it", drop)


def _forget_revision(change: Change, name: RepositoryName, digest: Digest) -> None:
    inventory.delete_revision(change, name, digest)
    inventory.delete_manifest(change, digest)
