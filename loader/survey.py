"""What is in a bundle that can be read anywhere, learnt from the headers of its tars, and no more than is needed."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import xxhash

from loader.archive import ENTRY, LIMIT, read_archive
from loader.errors import BundleInvalid, MemberInvalid
from loader.layout import blob_digest, is_blob
from loader.member import Member
from loader.platforms import select
from loader.selection import Selection
from loader.source import Source
from loader.stream import Window
from loader.tar import Kind
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, OCIError
from registry.oci.manifest import SIZE_LIMIT
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


@dataclass(slots=True)
class _Files:
    """What a load may want of one member."""

    blobs: dict[Digest, int] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    """Where platforms are selected."""
    held: int = 0
    """Bytes that these take."""
    others: int = 0

    def wanted(self, selection: Selection) -> Self:
        """What it does want; nothing of a member that will fail."""
        if not selection.platforms:
            return self
        try:
            wanted = select(self.documents, selection)
        except (MemberInvalid, OCIError):
            return type(self)()
        if wanted.blobs is None:
            return self
        return type(self)({digest: size for digest, size in self.blobs.items() if digest in wanted.blobs})


def survey(source: Source, selection: Selection) -> Survey | None:
    """All that the headers tell, and with selected platforms the documents; None where only reading it all would."""
    if not source.is_plain:
        return None
    checksum = xxhash.xxh3_128()
    blobs: dict[Digest, int] = {}
    others = 0
    for member in _members(source):
        checksum.update(f"{member.path}\0{member.content.size}\0".encode("utf-8", "surrogateescape"))
        files = _read(member, selection, checksum)
        if selection.may_admit(member.path):
            wanted = files.wanted(selection)
            blobs |= wanted.blobs
            others += wanted.others
    return Survey(checksum.digest(), blobs, others)


def _read(member: Member, selection: Selection, checksum: xxhash.xxh3_128) -> _Files:
    files = _Files()
    if member.fault is None:
        with suppress(MemberInvalid, BundleInvalid):
            for entry in read_archive(member.content):
                if entry.kind is Kind.FILE and entry.content.size <= member.content.size:
                    name = entry.name.removeprefix("./")
                    checksum.update(f"{name}\0{entry.content.size}\0".encode("utf-8", "surrogateescape"))
                    _add(name, entry.content, files, selection)
    return files


def _add(name: str, content: Window, files: _Files, selection: Selection) -> None:
    digest = _digest(name)
    if digest is not None:
        files.blobs[digest] = content.size
    elif not name.endswith(".json"):
        files.others += content.size
    if selection.platforms and content.size <= min(SIZE_LIMIT, LIMIT - files.held):
        head = content.read(1)
        if name.endswith(".json") or (digest is not None and head == b"{"):
            files.documents[name] = head + content.read(content.size)
            files.held += ENTRY + content.size


def _members(source: Source) -> Iterator[Member]:
    """Up to where the bundle is damaged: reading it for good will tell."""
    try:
        yield from source.members()
    except BundleInvalid:
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
