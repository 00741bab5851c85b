"""One LMDB environment, shared by the threads of a process and by many processes; the only lmdb import."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self, TypeAlias

import lmdb

from registry.storage.errors import StorageFull, StorageReadOnly, StorageUnusable, disk_errors, read_only, way_out
from registry.storage.wholeness import missing_bytes

TABLES: Final = (
    *("blobs", "care", "history", "journals", "links", "loads", "manifests", "misses"),
    *("referrers", "repositories", "revisions", "roots", "tags", "uploads"),
)

# Virtual addresses, not memory or disk. Room for 100 000 manifests before the first growth.
_MAP_SIZE: Final = 1 << 30
# A transaction stays far below this: one image's documents are limited to 64 MiB.
_HEADROOM: Final = 256 << 20
# One slot for each thread of every process that may be inside a read at the same instant.
_READERS: Final = 2048
_READER_SIZE: Final = 64
_LITTLE: Final = 1 << 20
_QUIESCE_PAUSE: Final = 0.0005
_DAMAGES: Final = (lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)

# Quoted: the class takes a parameter for the type checker only.
_Transaction: TypeAlias = "lmdb.Transaction[bytes]"


class Rows:
    """The tables inside one transaction: bytes to bytes, in key order."""

    __slots__ = ("_databases", "_transaction")

    def __init__(self, transaction: _Transaction, databases: "dict[str, lmdb._Database]") -> None:
        self._transaction = transaction
        self._databases = databases

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._transaction.get(key, db=self._databases[table])

    def put(self, table: str, key: bytes, value: bytes = b"") -> None:
        self._transaction.put(key, value, db=self._databases[table])

    def delete(self, table: str, key: bytes) -> bool:
        """Whether there was such a row."""
        return self._transaction.delete(key, db=self._databases[table])

    def count(self, table: str) -> int:
        return self._transaction.stat(self._databases[table])["entries"]

    def scan(self, table: str, prefix: bytes = b"", after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key begins with `prefix` and sorts behind `after`, in order."""
        with self._transaction.cursor(db=self._databases[table]) as cursor:
            start = max(prefix, after)
            found = cursor.set_range(start) if start else cursor.first()
            if found and cursor.key() == after:
                found = cursor.next()
            while found and cursor.key().startswith(prefix):
                yield cursor.item()
                found = cursor.next()


class Reading(Rows):
    """The tables as they were when it began, until its block is left. A class: contextlib costs a small answer 5 %."""

    __slots__ = ("_gate",)

    def __init__(self, environment: "Environment") -> None:
        self._gate = environment.gate
        self._gate.__enter__()
        try:
            super().__init__(environment.begin(write=False), environment.databases)
        except BaseException:
            self._gate.__exit__()
            raise

    @property
    def version(self) -> int:
        """The number of the last change."""
        return self._transaction.id()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transaction.abort()
        self._gate.__exit__()


class Environment:
    """Read and write transactions over the tables.

    Open it after fork, once in a process, and never begin a transaction inside another. Reads take
    no lock. The map grows by itself. On a read-only disk there is no lock file, and nobody who could write.
    """

    def __init__(self, path: Path, *, map_size: int = _MAP_SIZE, headroom: int = _HEADROOM) -> None:
        self._path = path
        self._headroom = headroom
        with disk_errors(path):
            lost = missing_bytes(path / "data.mdb")
        if lost:
            raise StorageUnusable(f"the index at {path} is damaged, {lost} bytes are lost: {way_out(path)}")
        with _index_errors(path):
            self.read_only = _is_read_only(path)
            self._lmdb = _open(path, map_size, read_only=self.read_only)
            self._lmdb.reader_check()  # slots of killed processes would pin old pages for ever
            self.databases = self._known() if self.read_only else self._made()
            self._page_size = self._lmdb.stat()["psize"]
        self.gate = _Gate()

    def _made(self) -> "dict[str, lmdb._Database]":
        with self._lmdb.begin(write=True) as transaction:
            return {name: self._lmdb.open_db(name.encode(), transaction) for name in TABLES}

    def _known(self) -> "dict[str, lmdb._Database]":
        # Each for itself: lmdb closes what a reading transaction that it was given has opened.
        return {name: self._lmdb.open_db(name.encode(), create=False) for name in TABLES}

    def close(self) -> None:
        self._lmdb.close()

    def reading(self) -> Reading:
        """A snapshot: what is committed now, whatever happens meanwhile."""
        return Reading(self)

    def version(self) -> int | None:
        """Another number after every change, whichever process made it; None where the index cannot be read."""
        try:
            with self.reading() as rows:
                return rows.version
        except lmdb.Error:
            return None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Rows]:
        """All or nothing, durable when the block is left without an exception.

        Raises:
            StorageFull: the disk is; nothing has changed.
            StorageReadOnly: the disk is.
        """
        if self.read_only:
            raise read_only(self._path)
        self._make_room()
        with _index_errors(self._path), self.gate, self.begin(write=True) as transaction:
            yield Rows(transaction, self.databases)

    def begin(self, *, write: bool) -> _Transaction:
        """A transaction, inside of the gate."""
        while True:
            try:
                return self._lmdb.begin(write=write)
            except lmdb.MapResizedError:  # another process grew the map: take its size over
                with self.gate.alone_inside():
                    self._lmdb.set_mapsize(0)

    def _make_room(self) -> None:
        if self._room() < self._headroom:
            with self.gate, self.gate.alone_inside():
                if self._room() < self._headroom:
                    self._lmdb.set_mapsize(self._lmdb.info()["map_size"] * 2)

    def last_page(self) -> tuple[int, int]:
        """The number of the last page that was ever taken, and the size of each."""
        return self._lmdb.info()["last_pgno"], self._page_size

    def _room(self) -> int:
        facts = self._lmdb.info()
        return facts["map_size"] - facts["last_pgno"] * self._page_size


class _Gate:
    """Lets transactions pass without a lock, and holds new ones back while one thread must be alone.

    LMDB allows a new map size only while the process has no transaction open.
    """

    def __init__(self) -> None:
        self._inside: list[None] = []  # append and pop are atomic: the length counts who is inside
        self._closed = False
        self._opened = threading.Event()
        self._closing = threading.Lock()

    def __enter__(self) -> None:
        self._inside.append(None)
        while self._closed:
            self._inside.pop()
            self._opened.wait()
            self._inside.append(None)

    def __exit__(self, *_: object) -> None:
        self._inside.pop()

    @contextlib.contextmanager
    def alone_inside(self) -> Iterator[None]:
        """For a thread that has entered: wait until all others have left, and keep new ones out."""
        self._inside.pop()
        with self._closing:
            self._opened.clear()
            self._closed = True
            try:
                while self._inside:
                    time.sleep(_QUIESCE_PAUSE)
                yield
            finally:
                self._inside.append(None)
                self._closed = False
                self._opened.set()


def _is_read_only(path: Path) -> bool:
    try:
        with disk_errors(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _allocate(path / "lock.mdb")
    except StorageReadOnly:
        return True
    return False


def _open(path: Path, map_size: int, *, read_only: bool) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        readonly=read_only,
        lock=not read_only,
        map_size=map_size,
        max_dbs=len(TABLES),
        max_readers=_READERS,
        max_spare_txns=32,  # read transactions kept for reuse: a renewed one costs a third of a new one
        readahead=False,  # rows are read at random; reading ahead evicts blobs from the page cache
        mode=0o600,
    )


def _is_full(path: Path, said: str) -> bool:
    """LMDB tells the operating system's text, and of a write that a full disk cut short only an I/O error."""
    if "No space left" in said or "quota" in said:
        return True
    usage = os.statvfs(path)
    return "Input/output" in said and usage.f_bavail * usage.f_frsize < _LITTLE


def _allocate(lock: Path) -> None:
    """Give the table of readers its blocks: LMDB maps it as a sparse file, and on a full disk to write is to die.

    Before LMDB opens it: to close it later would drop the locks that LMDB holds on it.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _READERS * _READER_SIZE)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _index_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        if isinstance(error, lmdb.MapFullError) or _is_full(path, str(error)):
            raise StorageFull(
                f"no space left for the index at {path}: free some, then repeat; nothing is lost"
            ) from error
        way = f": {way_out(path)}" if isinstance(error, _DAMAGES) else ""
        raise StorageUnusable(f"the index at {path} cannot be used: {error}{way}") from error
