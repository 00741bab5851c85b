"""Archives of a bundle on their way into a registry: read front to back, their blobs sent off as they come."""

import shutil
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from loader.archive import ENTRY, Archive, read_archive
from loader.delivery import Delivery
from loader.errors import MemberInvalid
from loader.futures import finished
from loader.layout import blob_digest, is_blob, is_layer
from loader.member import Member
from loader.naming import possible_references
from loader.rawfile import CHUNK
from loader.spool import Bytes, Spool, SpoolFailed, Stretch
from loader.tar import Entry, Kind
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import SIZE_LIMIT
from registry.oci.mediatype import OCTET_STREAM
from registry.oci.reference import RepositoryName
from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.errors import StorageError
from registry.storage.roots import open_root
from registry.transfer.errors import TransferError
from registry.transfer.patience import Endurance


@dataclass(slots=True)
class Pending:
    """An archive that was read; its blobs may still be on their way.

    Where its path alone does not tell the repository, they are `held` until its documents do.
    """

    archive: Archive
    repository: RepositoryName | None
    sent: dict[Digest, tuple[int, Future[None] | None]] = field(default_factory=dict)
    held: list[tuple[Descriptor, Bytes]] = field(default_factory=list)
    layers: BlobStore | None = None
    """Of a docker-archive: what has no digest before it is read lies here."""

    def forget(self) -> None:
        """Give up the room that its blobs still take."""
        for _, content in self.held:
            content.close()
        if self.layers is not None:
            shutil.rmtree(self.layers.roots[0].layout.root, ignore_errors=True)


class Reader:
    """Reads archives front to back, and sends their blobs off as they come."""

    def __init__(self, delivery: Delivery, spool: Spool, folder: Path, endurance: Endurance) -> None:
        self._delivery = delivery
        self._spool = spool
        self._folder = folder
        self._endurance = endurance
        self._count = 0

    def read(self, member: Member, prefix: str) -> Pending:
        """An archive, whose fault, if it has one, is in it.

        Raises:
            BundleInvalid: the bundle cannot be read on.
            SpoolFailed: the disk refuses.
        """
        self._count += 1
        repositories = {each.repository for each in possible_references(member.path, prefix)}
        repository = repositories.pop() if len(repositories) == 1 else None
        pending = Pending(Archive(member.path, member.content.size, fault=member.fault), repository)
        if member.fault is None:
            try:
                self._read_entries(member, pending)
            except (MemberInvalid, OCIError, TransferError) as error:
                pending.archive.fault = error if isinstance(error, OCIError) else MemberInvalid(str(error))
        return pending

    def _read_entries(self, member: Member, pending: Pending) -> None:
        for entry in read_archive(member.content):
            self._endurance.check()
            pending.archive.hold(ENTRY)
            name = entry.name.removeprefix("./")
            if entry.kind is Kind.LINK:
                pending.archive.links[name] = entry.target
            elif entry.kind is Kind.FILE:
                self._take(entry, name, pending)

    def _take(self, entry: Entry, name: str, pending: Pending) -> None:
        if name.endswith(".json"):
            pending.archive.read_document(name, b"", entry.content)
        elif is_blob(name):
            self._take_blob(entry, name, pending)
        elif is_layer(name):
            pending.archive.blobs[name] = finished(self._write_layer(entry, pending))

    def _take_blob(self, entry: Entry, name: str, pending: Pending) -> None:
        digest, size = blob_digest(name), entry.content.size
        if digest in pending.sent:
            return
        extent = entry.content.extent(size)
        head = entry.content.read(1)
        if head == b"{" and size <= SIZE_LIMIT:
            pending.archive.read_document(name, head, entry.content, digest)
            return
        blob, repository = Descriptor(OCTET_STREAM, digest, size), pending.repository
        if repository is not None and extent is None and self._delivery.is_there(repository, blob):
            pending.sent[digest] = size, None
            return
        # Who holds blobs back cannot wait for room: it would wait for itself.
        waits = repository is not None
        content = Stretch(extent) if extent else self._spool.take(head, entry.content, wait=waits)
        if repository is None:
            pending.held.append((blob, content))
        else:
            pending.sent[digest] = size, self._delivery.send(repository, blob, content)

    def _write_layer(self, entry: Entry, pending: Pending) -> StoredBlob:
        """A docker-archive's layer has no digest that could be believed."""
        try:
            if pending.layers is None:
                pending.layers = BlobStore((open_root(self._folder / str(self._count), create=True),))
            with pending.layers.create() as writer:
                while chunk := entry.content.read(CHUNK):
                    self._endurance.check()
                    writer.write(chunk)
                return writer.commit(durable=False)
        except StorageError as error:
            raise SpoolFailed(f"{error.__cause__ or error}: name a directory with more room with --work") from error
