"""Archives of the bundle, read front to back: documents are kept, blobs go to the pool of processes."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial

from loader.archive import ENTRY, Archive, Blob, read_archive
from loader.errors import BundleInvalid, MemberInvalid
from loader.layout import blob_digest, is_blob, is_layer
from loader.member import Member
from loader.platforms import select
from loader.pool import Pool
from loader.rawfile import CHUNK, Extent
from loader.seen import Seen
from loader.selection import Selection
from loader.stream import Window
from loader.tar import Entry, Kind
from registry.oci.digest import Digest
from registry.oci.errors import OCIError, SizeInvalid
from registry.oci.manifest import SIZE_LIMIT
from registry.storage.errors import StorageFull
from registry.storage.store import Store
from registry.storage.uploads import LOAD_PREFIX, UploadFile

# Blobs that wait to be hashed lie in the page cache; with more of them it would spill and be read back.
_WAITING_LIMIT = 512 * 1024 * 1024
_LAYER_NAME = re.compile(r"([0-9a-f]{64})\.tar")


@dataclass(frozen=True, slots=True)
class _Held:
    """A blob whose archive has yet to tell whether it is wanted."""

    name: str
    digest: Digest | None
    size: int
    begin: Callable[[], Blob]
    forget: Callable[[], None]


class Ingest:
    """Takes members in and gives archives out, in the same order, while the pool works behind.

    `go_on` is called every few megabytes, and may raise to end it.
    """

    def __init__(self, store: Store, pool: Pool, go_on: Callable[[], None], selection: Selection) -> None:
        self._store = store
        self._pool = pool
        self._go_on = go_on
        self._selection = selection
        self._held: list[_Held] = []
        self._seen = Seen(store)
        self._backlog: deque[tuple[Blob, int]] = deque()
        self._backlog_size = 0

    def archives(self, members: Iterator[Member]) -> Iterator[Archive]:
        """An archive is given out when all its blobs are verified and in place, or have failed.

        Raises:
            BundleInvalid: the bundle cannot be read on; what came before it has been given out.
            StorageError: the disk refuses.
        """
        unsettled: deque[Archive] = deque()
        fault: BundleInvalid | StorageFull | None = None
        try:
            for member in members:
                unsettled.append(self._read(member))
                while unsettled and unsettled[0].is_settled:
                    yield self._settled(unsettled.popleft())
        except (BundleInvalid, StorageFull) as error:
            fault = error
        while unsettled:
            archive = unsettled.popleft()
            try:
                yield self._settled(archive)
            except StorageFull as error:
                fault = fault or error
        if fault is not None:
            raise fault

    def _settled(self, archive: Archive) -> Archive:
        archive.settle()
        self._seen.settle(archive.brought)
        return archive

    def _read(self, member: Member) -> Archive:
        archive = Archive(member.path, member.content.size, fault=member.fault, end=member.end)
        archive.is_excluded = archive.fault is None and not self._selection.may_admit(member.path)
        if archive.fault is None and not archive.is_excluded:
            try:
                self._read_entries(member.content, archive)
                self._choose(archive)
            except (MemberInvalid, OCIError) as error:
                archive.fault = error
            finally:
                self._forget_held()
        return archive

    def _choose(self, archive: Archive) -> None:
        """With a selection of platforms: let the pool have what is wanted; the rest never becomes a blob."""
        if not self._selection.platforms:
            return
        wanted = select(archive.documents, self._selection)
        archive.platforms, archive.is_excluded = wanted.there, wanted.is_excluded
        while self._held:
            held = self._held[-1]
            known = self._seen.blob(held.digest) if held.digest else None
            if known is not None:
                archive.blobs[held.name] = known
            elif wanted.blobs is None or held.digest in wanted.blobs:
                self._held.pop()
                self._start(held, archive)
                continue
            self._held.pop().forget()

    def _forget_held(self) -> None:
        while self._held:
            self._held.pop().forget()

    def _hold(self, held: _Held, archive: Archive) -> None:
        if self._selection.platforms:
            self._held.append(held)
        else:
            self._start(held, archive)

    def _start(self, held: _Held, archive: Archive) -> None:
        blob = archive.blobs[held.name] = held.begin()
        if held.digest is not None:
            self._seen.begin(held.digest, blob)
            archive.brought.add(held.digest)
        self._queue(blob, held.size)

    def _read_entries(self, content: Window, archive: Archive) -> None:
        for entry in read_archive(content):
            self._go_on()
            archive.hold(ENTRY)
            name = entry.name.removeprefix("./")
            if entry.kind is Kind.LINK:
                archive.links[name] = entry.target
            elif entry.kind is Kind.FILE:
                self._take(entry, name, archive)

    def _take(self, entry: Entry, name: str, archive: Archive) -> None:
        """`blobs/<algorithm>/<hex>`, `*.json` and a docker-archive's layers; nothing else is of use."""
        if name.endswith(".json"):
            archive.read_document(name, b"", entry.content)
        elif is_blob(name):
            self._take_blob(entry, name, archive)
        elif is_layer(name):
            known = self._known_layer(name, entry.content.size)
            if known is not None:
                archive.blobs[name] = known
            else:
                self._hold(self._held_blob(name, b"", entry.content, None), archive)

    def _take_blob(self, entry: Entry, name: str, archive: Archive) -> None:
        digest = blob_digest(name)
        extent = entry.content.extent(entry.content.size)
        head = entry.content.read(1) if entry.content.size <= SIZE_LIMIT else b""
        if head == b"{":  # also where the store has it: what it says decides on the name, and on the platform
            archive.read_document(name, head, entry.content, digest)
            return
        known = self._seen.blob(digest)
        if known is not None:
            archive.blobs[name] = known
            if known.result().size != entry.content.size:
                raise SizeInvalid(f"{digest} has {entry.content.size} bytes here, and {known.result().size} elsewhere")
        elif extent is not None:
            self._hold(self._held_extent(name, extent, digest), archive)
        else:
            self._hold(self._held_blob(name, head, entry.content, digest), archive)

    def _known_layer(self, name: str, size: int) -> Blob | None:
        """By its name: skopeo names a docker-archive's layers by their digests. A hint that saves a copy, no more."""
        named = _LAYER_NAME.fullmatch(name)
        blob = self._seen.blob(Digest("sha256", named[1])) if named else None
        return blob if blob is not None and blob.result().size == size else None

    def _held_extent(self, name: str, extent: Extent, digest: Digest | None) -> _Held:
        return _Held(name, digest, extent.size, lambda: self._pool.copy(extent, digest), lambda: None)

    def _held_blob(self, name: str, head: bytes, content: Window, digest: Digest | None) -> _Held:
        """Write what the stream brings, unhashed, and let the pool make a blob of it.

        The file, not a pipe, carries the bytes to the other process: however large a blob is, the
        next ones are read meanwhile and hashed beside it, and memory stays flat.
        """
        extent = content.extent(content.size) if not head else None
        if extent is not None:
            return self._held_extent(name, extent, digest)
        root = self._store.blobs.root_for(digest)
        upload = UploadFile.create(root.layout, LOAD_PREFIX)
        try:
            upload.append(head)
            while chunk := content.read(CHUNK):
                self._go_on()
                upload.append(chunk)
        except BaseException:
            upload.remove()
            raise
        upload.close()
        adopt = partial(self._pool.adopt, root, upload.path, digest, content.size)
        return _Held(name, digest, content.size, adopt, upload.remove)

    def _queue(self, blob: Blob, size: int) -> None:
        self._backlog.append((blob, size))
        self._backlog_size += size
        while self._backlog_size > _WAITING_LIMIT or (self._backlog and self._backlog[0][0].done()):
            oldest, oldest_size = self._backlog.popleft()
            wait([oldest])
            self._backlog_size -= oldest_size
