"""Blobs on disk: opened to be served, written by the one writer there is."""

import ctypes
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import xxhash

from registry.oci.digest import Digest, new_hash
from registry.oci.errors import DigestInvalid, SizeInvalid
from registry.storage.errors import RootMissing, StorageUnusable, disk_error, disk_errors
from registry.storage.roots import Root, is_root, place, sync_directory
from registry.storage.uploads import UploadFile

_CHUNK = 1024 * 1024
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that is whole on disk, and what the index remembers of it."""

    digest: Digest
    size: int
    root: int
    checksum: bytes
    """xxh3_128 of the bytes: a scrub reads at memory speed with it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What so many bytes hash to: SHA-256 or SHA-512 in hex, and xxh3_128."""

    size: int
    hex: str
    checksum: bytes


class BlobWriter:
    """The only way bytes become a blob: written to a private file, hashed on the way, renamed into place."""

    def __init__(self, root: Root, upload: UploadFile, algorithm: str = "sha256") -> None:
        self._root = root
        self._upload = upload
        self._algorithm = algorithm
        self._hash = new_hash(algorithm)
        self._checksum = xxhash.xxh3_128()
        self._size = 0
        self._known: Summary | None = None

    @classmethod
    def adopt(cls, root: Root, path: Path, algorithm: str = "sha256") -> Self:
        """Go on with a file that was written without hashing; its bytes are read again, from the page cache."""
        writer = cls(root, UploadFile.open(path), algorithm)
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while count := writer._upload.read_into(buffer, writer._size):
                writer._hash_chunk(buffer[:count])
        except BaseException:
            writer._upload.close()
            raise
        return writer

    @classmethod
    def trust(cls, root: Root, path: Path, summary: Summary) -> Self:
        """Take a file whose bytes were hashed while they were written, by another request or process of ours."""
        writer = cls(root, UploadFile.open(path))
        writer._known = summary
        return writer

    @property
    def summary(self) -> Summary:
        """What the bytes so far hash to."""
        return self._known or Summary(self._size, self._hash.hexdigest(), self._checksum.digest())

    def write(self, chunk: bytes | memoryview) -> None:
        """Append `chunk`.

        Raises:
            StorageFull: the disk is.
        """
        self._upload.append(chunk)
        self._hash_chunk(chunk)

    def commit(self, expected: Digest | None = None, size: int | None = None, *, durable: bool = True) -> StoredBlob:
        """Verify, and put the blob under its name; without `expected` its name is what the bytes hash to.

        With `durable` bytes and name are on disk when this returns; without it the caller owes
        `BlobStore.sync()` before the index names the blob.

        Raises:
            SizeInvalid: there are more or fewer than `size` bytes. The bytes are gone.
            DigestInvalid: the bytes do not hash to `expected`. The bytes are gone.
        """
        try:
            summary = self.summary
            self._verify(summary, expected, size)
            digest = Digest(self._algorithm, summary.hex)
            blob = StoredBlob(digest, summary.size, self._root.number, summary.checksum)
            if durable:
                self._upload.sync()
            self._rename(blob.digest, durable=durable)
            return blob
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget the bytes; nothing is left. Harmless after `commit`."""
        self._upload.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _hash_chunk(self, chunk: bytes | memoryview) -> None:
        self._hash.update(chunk)
        self._checksum.update(chunk)
        self._size += len(chunk)

    def _verify(self, summary: Summary, expected: Digest | None, size: int | None) -> None:
        if size is not None and size != summary.size:
            raise SizeInvalid(f"{summary.size} bytes where {size} were announced")
        if expected is not None and (expected.algorithm, expected.hex) != (self._algorithm, summary.hex):
            raise DigestInvalid(f"the bytes hash to {self._algorithm}:{summary.hex}, expected {expected}")

    def _rename(self, digest: Digest, *, durable: bool) -> None:
        target = self._root.layout.blob(digest)
        with disk_errors(target):
            try:
                os.rename(self._upload.path, target)
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.rename(self._upload.path, target)
                if durable:
                    sync_directory(target.parent.parent)
            if durable:
                sync_directory(target.parent)


@dataclass(frozen=True, slots=True)
class BlobStore:
    """The blobs below all roots. It knows no names and may be sent to another process."""

    roots: tuple[Root, ...]

    def create(self, expected: Digest | None = None, *, prefix: str = "") -> BlobWriter:
        """A writer for one blob; where it lies depends on `expected`, or on chance without it."""
        root = self.root_for(expected)
        return BlobWriter(root, UploadFile.create(root.layout, prefix), expected.algorithm if expected else "sha256")

    def root_for(self, digest: Digest | None) -> Root:
        """The root where a new blob belongs."""
        return place(self.roots, bytes.fromhex(digest.hex) if digest else os.urandom(16))

    def has(self, blob: StoredBlob) -> bool:
        """Whether the blob's file is in place and as long as it must be; False too where its root was not given."""
        if all(root.number != blob.root for root in self.roots):
            return False
        try:
            return self.path(blob.root, blob.digest).stat().st_size == blob.size
        except FileNotFoundError:
            return False

    def path(self, root: int, digest: Digest) -> Path:
        """Where the blob lies that the index says is in `root`.

        Raises:
            RootMissing: that root was not given.
        """
        return self.root(root).layout.blob(digest)

    def open(self, root: int, digest: Digest) -> BinaryIO:
        """The blob's file, unbuffered, to be read or given to sendfile.

        Raises:
            StorageUnusable: the file is gone although the index names it.
            RootMissing: its root was not given.
        """
        name = self.root(root).layout.blob_name(digest)
        try:
            return open(name, "rb", buffering=0)
        except OSError as error:
            raise disk_error(Path(name), error) from error

    def read_cached(self, root: int, digest: Digest, first: int, length: int) -> bytes | None:
        """A part of a blob, in one piece, for small ones; None if that would mean to wait for the disk.

        Raises:
            StorageUnusable: as `open`, or the file is too short.
        """
        name, content = self.root(root).layout.blob_name(digest), bytearray(length)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                count = _read_at_once(descriptor, content, first)
                if count < length and os.fstat(descriptor).st_size < first + length:
                    raise StorageUnusable(f"{name} is too short: load or push it again")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise disk_error(Path(name), error) from error
        return bytes(content) if count == length else None

    def disk_bytes(self) -> int:
        """The sizes of all blob files, those of a killed load too, which have no row in the index."""
        folders = (root.layout.blobs for root in self.roots)
        return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())

    def files(self, root: Root) -> Iterator[Digest]:
        """What lies below `blobs/` of a root under a blob's name, whether the index has a row for it or not."""
        for path in root.layout.blobs.glob("*/*/*"):
            with suppress(DigestInvalid):
                yield Digest.parse(f"{path.parent.parent.name}:{path.name}")

    def sync(self, roots: Sequence[int] | None = None) -> None:
        """Make everything below the roots durable, with one system call for each."""
        for root in self.roots:
            if roots is None or root.number in roots:
                _syncfs(root.layout.root)

    def root(self, number: int) -> Root:
        """The root that the index calls by this number.

        Raises:
            RootMissing: it was not given.
        """
        for root in self.roots:
            if root.number == number:
                return root
        raise RootMissing(f"storage root number {number} was not given: name all of them with --storage")

    def require_root(self, number: int) -> None:
        """That the root's disk is there; where it is not, each of its blobs would seem to be lost.

        Raises:
            RootMissing: it is not, any more.
        """
        root = self.root(number)
        if not is_root(root.layout.root):
            raise RootMissing(f"{root.layout.root} is no storage root any more: is its disk mounted (id {root.id})?")


def _syncfs(path: Path) -> None:
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _LIBC.syncfs(descriptor) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(descriptor)


def _read_at_once(descriptor: int, content: bytearray, first: int) -> int:
    """How many bytes the page cache had; of a file system that cannot tell, what there is."""
    try:
        return os.preadv(descriptor, [content], first, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return os.preadv(descriptor, [content], first)
