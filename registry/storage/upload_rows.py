"""The table `uploads`: a row for each session, which any process can go on with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import orjson

from registry.oci.reference import RepositoryName
from registry.storage.blobs import Summary
from registry.storage.index import Change, Snapshot

_TABLE = "uploads"


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload session; its file's length is its offset."""

    id: str
    repository: RepositoryName
    root: int
    summary: Summary | None = None
    """What its bytes hash to, where one request brought them all."""

    def to_row(self) -> bytes:
        """As the index keeps it."""
        document: dict[str, object] = {"repository": str(self.repository), "root": self.root}
        if self.summary is not None:
            size, hash_hex, checksum = self.summary.size, self.summary.hex, self.summary.checksum.hex()
            document |= {"size": size, "sha256": hash_hex, "xxh3": checksum}
        return orjson.dumps(document)

    @classmethod
    def from_row(cls, upload_id: str, row: bytes) -> Self:
        """What `to_row` made this of."""
        fields = orjson.loads(row)
        summary = None
        if "sha256" in fields:
            summary = Summary(fields["size"], fields["sha256"], bytes.fromhex(fields["xxh3"]))
        return cls(upload_id, RepositoryName(fields["repository"]), fields["root"], summary)


def find_upload(snapshot: Snapshot, upload_id: str) -> StoredUpload | None:
    """The session, if there is one."""
    row = snapshot.rows.get(_TABLE, upload_id.encode())
    return None if row is None else StoredUpload.from_row(upload_id, row)


def all_uploads(snapshot: Snapshot) -> Iterator[StoredUpload]:
    """All sessions."""
    for key, row in snapshot.rows.scan(_TABLE):
        yield StoredUpload.from_row(key.decode(), row)


def count_uploads(snapshot: Snapshot) -> int:
    """How many sessions are open."""
    return snapshot.count(_TABLE)


def put_upload(change: Change, upload: StoredUpload) -> None:
    """Remember a session, or what is new of it."""
    change.rows.put(_TABLE, upload.id.encode(), upload.to_row())


def delete_upload(change: Change, upload_id: str) -> bool:
    """Whether there was such a session."""
    return change.rows.delete(_TABLE, upload_id.encode())
