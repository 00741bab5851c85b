"""Where the bytes of blobs wait on their way from a stream to a registry: never more than was allowed."""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from loader.errors import LoaderError
from loader.rawfile import CHUNK, Extent
from loader.stream import Window
from registry.oci.descriptor import Descriptor
from registry.oci.reference import RepositoryName
from registry.transfer.source import BlobSource, Chunks

_SCRATCH = "k0rdentd-push-"


class SpoolFailed(LoaderError):
    """The disk for what is on its way is too small, or refuses."""


class Bytes(BlobSource, Protocol):
    """The bytes of one blob, until they are given back."""

    def close(self) -> None:
        """They are not needed any more."""


class Spooled:
    """Bytes in a file of the spool."""

    def __init__(self, file: BinaryIO, size: int, release: Callable[[], None]) -> None:
        self._file = file
        self._size = size
        self._release = release

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes from `offset` on."""
        yield from _read(self._file.fileno(), offset, self._size)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
        self._release()


class Stretch:
    """Bytes that lie in a plain file, and stay there."""

    def __init__(self, extent: Extent) -> None:
        self._extent = extent

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes from `offset` on."""
        first = self._extent.offset
        try:
            with self._extent.path.open("rb") as file:
                yield from _read(file.fileno(), first + offset, first + self._extent.size)
        except OSError as error:
            raise SpoolFailed(f"cannot read {self._extent.path}: {error.strerror}") from error

    def close(self) -> None:
        """There is nothing to give back."""


class Document:
    """The bytes of a small blob that are in memory anyway."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes from `offset` on."""
        yield self._body[offset:]

    def close(self) -> None:
        """There is nothing to give back."""


class Spool:
    """Files without a name below a directory: a killed push leaves nothing of them."""

    def __init__(self, work: Path, limit: int, go_on: Callable[[], None]) -> None:
        self._work = work
        self._limit = limit
        self._go_on = go_on
        self._held = 0
        self._changed = threading.Condition()

    def take(self, head: bytes, content: Window, *, wait: bool = True) -> Spooled:
        """Write a blob down; with `wait` when there is room, and one blob, however large, always has room.

        Raises:
            SpoolFailed: the disk refuses.
            LoaderError: the stream ends.
        """
        size = content.size
        with self._changed:
            while wait and self._held and self._held + size > self._limit:
                self._changed.wait(1)
                self._go_on()
            self._held += size
        try:
            file = self._write(head, content)
        except BaseException:
            self._give_back(size)
            raise
        return Spooled(file, size, lambda: self._give_back(size))

    def _write(self, head: bytes, content: Window) -> BinaryIO:
        try:
            file = tempfile.TemporaryFile(dir=self._work, buffering=0)  # noqa: SIM115  # closed with its part
        except OSError as error:
            raise self._refusal(error) from error
        try:
            self._fill(file.fileno(), head)
            while chunk := content.read(CHUNK):
                self._go_on()
                self._fill(file.fileno(), chunk)
        except BaseException:
            file.close()
            raise
        return file

    def _fill(self, descriptor: int, chunk: bytes) -> None:
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> SpoolFailed:
        return SpoolFailed(f"{self._work}: {error.strerror}: name a directory with more room with --work")

    def _give_back(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()


@contextmanager
def scratch(work: Path) -> Iterator[Path]:
    """A directory that is removed at the end; those that killed runs left are removed first."""
    try:
        for old in work.glob(f"{_SCRATCH}*"):
            _remove_if_left(old)
        made = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=work))
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise SpoolFailed(f"{work}: {error.strerror}: name another directory with --work") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _remove_if_left(old: Path) -> None:
    with suppress(OSError):
        lock = os.open(old, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            os.close(lock)


def _read(descriptor: int, first: int, end: int) -> Chunks:
    while first < end:
        try:
            chunk = os.pread(descriptor, min(CHUNK, end - first), first)
        except OSError as error:
            raise SpoolFailed(f"what was read cannot be read again: {error.strerror}") from error
        if not chunk:
            raise SpoolFailed("the bundle shrank while it was read")
        first += len(chunk)
        yield chunk
