"""What is in a bundle that can be read anywhere, learnt from the headers of its tars alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from loader.errors import BundleInvalid, MemberInvalid, MemberTruncated
from loader.layout import blob_digest, is_blob
from loader.selection import Selection
from loader.source import Member, Source
from loader.tar import Kind, read_entries
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid
from registry.storage.store import Store


@dataclass(frozen=True, slots=True)
class Survey:
    """Sizes of the blobs, each counted once; `others` is what docker-archives hold, which have no digests yet."""

    checksum: bytes
    blobs: dict[Digest, int] = field(default_factory=dict)
    others: int = 0

    def missing(self, store: Store) -> int:
        """Bytes that the store still lacks; a file that a killed load left is written over."""
        with store.snapshot() as snapshot:
            lacking = {digest: size for digest, size in self.blobs.items() if snapshot.blob(digest) is None}
        left = sum(size for digest, size in lacking.items() if any(path.exists() for path in _places(store, digest)))
        return sum(lacking.values()) - left + self.others


def survey(source: Source, selection: Selection) -> Survey | None:
    """All that the headers tell; None where only reading the whole bundle would."""
    if not source.is_plain:
        return None
    checksum = xxhash.xxh3_128()
    blobs: dict[Digest, int] = {}
    others = 0
    for member in _members(source):
        checksum.update(f"{member.path}\0{member.content.size}\0".encode("utf-8", "surrogateescape"))
        is_wanted = selection.may_admit(member.path)
        for name, size in _files(member):
            checksum.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
            digest = _digest(name)
            if digest is not None and is_wanted:
                blobs[digest] = size
            elif is_wanted and not name.endswith(".json"):
                others += size
    return Survey(checksum.digest(), blobs, others)


def _members(source: Source) -> Iterator[Member]:
    """Up to where the bundle is damaged: reading it for good will tell."""
    try:
        yield from source.members()
    except BundleInvalid:
        return


def _files(member: Member) -> Iterator[tuple[str, int]]:
    if member.fault is not None:
        return
    try:
        for entry in read_entries(member.content, MemberTruncated("the archive ends in the middle of a file")):
            if entry.kind is Kind.FILE and entry.content.size <= member.content.size:
                yield entry.name.removeprefix("./"), entry.content.size
    except (MemberInvalid, BundleInvalid):
        return


def _digest(name: str) -> Digest | None:
    if not is_blob(name):
        return None
    try:
        return blob_digest(name)
    except DigestInvalid:
        return None


def _places(store: Store, digest: Digest) -> Iterator[Path]:
    return (root.layout.blob(digest) for root in store.blobs.roots)
