"""Upload sessions (end-4 to end-6, end-13, end-14): any process can go on with any of them.

A session is a row in the index and a file below `uploads/`. The file's length is the offset, its
lock makes writers take turns, and nothing else is kept: not in a process, not in the URL.
"""

import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from registry.oci.digest import Digest
from registry.oci.errors import BlobUploadUnknown, DigestInvalid, TooManyRequests, UploadOutOfOrder
from registry.oci.reference import RepositoryName
from registry.storage.blobs import BlobStore, BlobWriter
from registry.storage.errors import StorageError, StorageFull, StorageUnusable, disk_errors
from registry.storage.index import Index
from registry.storage.naming import name_blob
from registry.storage.upload_rows import (
    StoredUpload,
    all_uploads,
    count_uploads,
    delete_upload,
    find_upload,
    put_upload,
)
from registry.storage.uploads import LOAD_PREFIX, UploadFile


@dataclass(frozen=True, slots=True)
class _Open:
    """A session of which this thread is the only writer."""

    row: StoredUpload
    file: UploadFile


class Sessions:
    """The upload sessions of a store."""

    def __init__(self, blobs: BlobStore, index: Index, limit: int) -> None:
        self._blobs = blobs
        self._index = index
        self._limit = limit

    def start(self, name: RepositoryName) -> str:
        """A new session's id.

        Raises:
            TooManyRequests: as many sessions are open as may be.
            StorageFull: the disk is.
        """
        root = self._blobs.root_for(None)
        upload = StoredUpload(str(uuid.uuid4()), name, root.number)
        file = UploadFile.create_at(root.layout.upload(upload.id))
        try:
            with self._index.change() as change:
                self._refuse_too_many(count_uploads(change))
                put_upload(change, upload)
        except BaseException:
            file.remove()
            raise
        file.close()
        return upload.id

    def offset(self, name: RepositoryName, upload_id: str) -> int:
        """How many bytes a session has.

        Raises:
            BlobUploadUnknown: there is no such session in this repository.
        """
        path = self._path(self._row(name, upload_id))
        try:
            return path.stat().st_size
        except FileNotFoundError as error:
            raise BlobUploadUnknown(upload_id) from error

    def append(self, name: RepositoryName, upload_id: str, chunks: Iterable[bytes], at: int | None) -> int:
        """Add bytes at the end, `at` being where the client thinks that is; returns the new offset.

        When `chunks` raises, what came before stays, and the offset tells so.

        Raises:
            BlobUploadUnknown: there is no such session in this repository.
            UploadOutOfOrder: the end is elsewhere; nothing has changed.
            TooManyRequests: another request is writing to this session.
        """
        with self._open(name, upload_id, at) as session:
            root = self._blobs.root(session.row.root)
            if session.file.size:
                for chunk in chunks:
                    session.file.append(chunk)
                self._row(name, upload_id)  # a session that was cancelled meanwhile has taken nothing
                return session.file.size
            writer = BlobWriter(root, session.file)
            for chunk in chunks:
                writer.write(chunk)
            # A client that sends all in one PATCH has it hashed now, and PUT need not read it again. The
            # bytes are made durable before the row that speaks for them: power may fail between the two.
            session.file.sync()
            self._remember(replace(session.row, summary=writer.summary))
            return writer.summary.size

    def finish(
        self, name: RepositoryName, upload_id: str, digest: Digest, chunks: Iterable[bytes], at: int | None
    ) -> None:
        """Add the last bytes, verify all, and let the repository see the blob.

        Raises:
            BlobUploadUnknown, UploadOutOfOrder, TooManyRequests: as `append`; the session goes on.
            DigestInvalid: the bytes do not hash to `digest`; they are gone, and the session with them.
        """
        with self._open(name, upload_id, at) as session:
            writer = self._last_bytes(session, digest, chunks)
            try:
                blob = writer.commit(digest)
            except DigestInvalid:
                self._forget(upload_id)
                raise
            with self._index.change() as change:
                name_blob(change, self._blobs, blob)
                change.link_blob(name, digest)
                delete_upload(change, upload_id)

    def cancel(self, name: RepositoryName, upload_id: str) -> None:
        """Forget the session and its bytes.

        Raises:
            BlobUploadUnknown: there is no such session in this repository.
        """
        path = self._path(self._row(name, upload_id))
        path.unlink(missing_ok=True)  # first: on a full disk the index needs this space to forget the row
        self._forget(upload_id)

    def expire(self, seconds: float) -> Iterator[str]:
        """End the sessions to which nothing was added for so long, and remove files that belong to none."""
        with self._index.snapshot() as snapshot:
            rows = {row.id: row for row in all_uploads(snapshot)}
        for path in self._files():
            rows.pop(path.name, None)
            if _is_abandoned(path, seconds):
                path.unlink(missing_ok=True)  # first, as in cancel
                with suppress(StorageFull):  # the row is seen to be an orphan next time
                    self._forget(path.name)
                yield path.name
        for row in rows.values():  # a file became a blob, or was lost, and its row was left by a crash
            if self._is_orphan(row):
                self._forget(row.id)
                yield row.id

    def abandoned(self, seconds: float) -> dict[str, int]:
        """The sizes of the files that `expire` would remove, by their sessions' ids."""
        with suppress(FileNotFoundError):
            return {path.name: path.stat().st_size for path in self._files() if _is_abandoned(path, seconds)}
        return self.abandoned(seconds)  # one of them ended meanwhile

    def _files(self) -> list[Path]:
        """Those of clients; a load looks after its own."""
        found: list[Path] = []
        for uploads in (root.layout.uploads for root in self._blobs.roots):
            with disk_errors(uploads):
                found += (path for path in uploads.iterdir() if not path.name.startswith(LOAD_PREFIX))
        return found

    def _last_bytes(self, session: _Open, digest: Digest, chunks: Iterable[bytes]) -> BlobWriter:
        """A writer that has all of the session's bytes; only what nobody hashed is read again."""
        root, path = self._blobs.root(session.row.root), session.file.path
        size = session.file.size
        if size == 0:
            writer = BlobWriter(root, session.file, digest.algorithm)
            for chunk in chunks:
                writer.write(chunk)
            return writer
        for chunk in chunks:
            session.file.append(chunk)
        summary = session.row.summary
        if summary is not None and digest.algorithm == "sha256" and summary.size == session.file.size:
            return BlobWriter.trust(root, path, summary)
        return BlobWriter.adopt(root, path, digest.algorithm)

    @contextmanager
    def _open(self, name: RepositoryName, upload_id: str, at: int | None) -> Iterator[_Open]:
        row = self._row(name, upload_id)
        try:
            file = UploadFile.open(self._path(row))
        except StorageError as error:
            raise BlobUploadUnknown(upload_id) from error
        try:
            if not file.try_lock():
                raise TooManyRequests(f"another request is writing to upload {upload_id}")
            if at is not None and at != file.size:
                raise UploadOutOfOrder(file.size)
            yield _Open(self._row(name, upload_id), file)  # read again: another writer may just have left
        except StorageUnusable:
            self._row(name, upload_id)  # its file is gone because it was cancelled: no fault of the disk
            raise
        finally:
            file.close()

    def _refuse_too_many(self, count: int) -> None:
        if count >= self._limit:
            raise TooManyRequests(f"{count} uploads are open")

    def _row(self, name: RepositoryName, upload_id: str) -> StoredUpload:
        with self._index.snapshot() as snapshot:
            row = find_upload(snapshot, upload_id)
        if row is None or row.repository != name:
            raise BlobUploadUnknown(upload_id)
        return row

    def _path(self, row: StoredUpload) -> Path:
        return self._blobs.root(row.root).layout.upload(row.id)

    def _remember(self, row: StoredUpload) -> None:
        with self._index.change() as change:
            if find_upload(change, row.id) is None:
                raise BlobUploadUnknown(row.id)  # cancelled meanwhile
            put_upload(change, row)

    def _forget(self, upload_id: str) -> None:
        with self._index.change() as change:
            delete_upload(change, upload_id)

    def _is_orphan(self, row: StoredUpload) -> bool:
        """Its file is gone, and was not just about to be made when the directory was listed."""
        with self._index.snapshot() as snapshot:
            return find_upload(snapshot, row.id) is not None and not self._path(row).exists()


def _is_abandoned(path: Path, seconds: float) -> bool:
    """Nothing was added for so long, and no request is at it: to verify a big blob takes its time, too."""
    try:
        if time.time() - path.stat().st_mtime <= seconds:
            return False
        file = UploadFile.open(path)
    except (FileNotFoundError, StorageUnusable):
        return False
    try:
        return file.try_lock()
    finally:
        file.close()
