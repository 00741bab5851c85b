"""The members of a bundle, wherever it comes from: a tar, compressed or not, or a directory."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from loader.errors import BundleInvalid, BundleMissing, BundleTruncated, LoaderError, MemberInvalid
from loader.hashing import HashedFile
from loader.naming import below_root, bundle_stem, is_archive
from loader.stream import EMPTY, ByteStream, FileStream, RawFile, Window, open_stream
from loader.tar import Entry, Kind, read_entries

_PADDING = 64 * 1024  # tar fills its last record up: 10 KiB by habit


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the bundle that should hold an image or a chart; read `content` before the next one."""

    path: str
    content: Window
    fault: MemberInvalid | None = None
    """Why it cannot be one, known without reading it."""


class Source:
    """A bundle that is open to be read once."""

    def __init__(self, path: Path, strip: int | None = None) -> None:
        """Opens `path`.

        Raises:
            BundleMissing: there is no such file or directory, or it cannot be opened.
        """
        self.path = path
        self._strip = strip
        self._open = ExitStack()
        self._file: BinaryIO | HashedFile | None = None
        try:
            if not path.is_dir():
                file = self._open.enter_context(path.open("rb"))
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
                self._file = file
        except OSError as error:
            raise BundleMissing(f"cannot open the bundle {path}: {error.strerror}") from error

    @cached_property
    def size(self) -> int:
        """Bytes of the file, or of all archives in the directory."""
        if self._file is not None:
            return os.fstat(self._file.fileno()).st_size
        return sum(path.lstat().st_size for path in self._walk())

    @property
    def position(self) -> int:
        """Bytes of the file that have been read; 0 for a directory."""
        if self._file is None or self._file.closed:
            return 0
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR)  # file.tell() would wait for the reading thread

    @cached_property
    def total(self) -> int | None:
        """How many archives there are, if that can be known without reading them: not of a compressed tar."""
        if self._file is None:
            return sum(1 for _ in self._walk())
        with self.path.open("rb") as file, open_stream(self.path, file) as stream:
            if not isinstance(stream, FileStream):
                return None
            try:
                return sum(1 for _ in self._archives(stream))
            except LoaderError:
                return None  # reading it for good will tell what is wrong

    def members(self) -> Iterator[Member]:
        """The archives in the bundle's order; other files are passed over.

        Raises:
            BundleInvalid: the bundle cannot be read on; what came before it is good.
        """
        return self._directory_members() if self._file is None else self._tar_members(self._file)

    def hash(self, algorithms: Iterable[str]) -> HashedFile:
        """Hash the bundle file, all of it, while it is read; to be asked for before that."""
        assert self._file is not None
        assert not isinstance(self._file, HashedFile)
        self._file = HashedFile(self.path, self._file, algorithms)
        self._open.callback(self._file.close)
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _tar_members(self, file: RawFile) -> Iterator[Member]:
        try:
            with open_stream(self.path, file) as stream:
                for entry in self._archives(stream):
                    yield self._member(entry.name, entry.content, _fault(entry))
        except MemberInvalid as error:  # a header of the bundle itself
            raise BundleInvalid(f"{self.path}: {error}") from error

    def _archives(self, stream: ByteStream) -> Iterator[Entry]:
        truncated = BundleTruncated(f"{self.path} ends in the middle of a member: copy it anew and load again")
        for entry in read_entries(stream, truncated, end_marked=True):
            if entry.kind is not Kind.DIRECTORY and is_archive(entry.name):
                yield entry
        # A file that was given its full length before its content looks like a tar that ends early.
        if stream.skip(_PADDING) == _PADDING:
            raise truncated

    def _directory_members(self) -> Iterator[Member]:
        for path in self._walk():
            name = path.relative_to(self.path).as_posix()
            if path.is_symlink() or not path.is_file():  # a link in an unpacked bundle may lead anywhere
                yield self._member(name, EMPTY, MemberInvalid("it is a link or a special file"))
                continue
            try:
                file = path.open("rb")
            except OSError as error:
                yield self._member(name, EMPTY, MemberInvalid(f"cannot open it: {error.strerror}"))
                continue
            with file:
                size = os.fstat(file.fileno()).st_size
                content = Window(FileStream(path, file), size, MemberInvalid("the file shrank while it was read"))
                yield self._member(name, content, None)

    def _member(self, name: str, content: Window, fault: MemberInvalid | None) -> Member:
        try:
            return Member(below_root(name, bundle_stem(self.path.name), self._strip), content, fault)
        except MemberInvalid as error:
            return Member(name, content, error)

    def _walk(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names) if is_archive(name))


def _fault(entry: Entry) -> MemberInvalid | None:
    return None if entry.kind is Kind.FILE else MemberInvalid(f"it is a {entry.kind.value}, not a file")
