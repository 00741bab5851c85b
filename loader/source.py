"""The members of a bundle, wherever it comes from: a tar, compressed, in pieces or piped, or a directory."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from loader.checkpoint import Checkpoint
from loader.errors import BundleInvalid, BundleMissing, BundleTruncated, LoaderError, MemberInvalid
from loader.gunzip import Resumption, resume_at
from loader.naming import below_root, is_archive, rank
from loader.split import SUFFIXES, Pieces, find_pieces, whole_name
from loader.stream import (
    CHUNK,
    EMPTY,
    ByteStream,
    FileStream,
    GzipStream,
    Window,
    file_size,
    is_compressed,
    open_stream,
)
from loader.tar import Entry, Kind, read_entries

STANDARD_INPUT: Final = Path("-")
_PADDING = 64 * 1024  # tar fills its last record up: 10 KiB by habit
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the bundle that should hold an image or a chart; read `content` before the next one."""

    path: str
    content: Window
    fault: MemberInvalid | None = None
    """Why it cannot be one, known without reading it."""
    end: int = 0
    """Where the next entry of the bundle's tar begins."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A member of a plain tar."""

    name: str
    offset: int
    size: int
    fault: MemberInvalid | None


class Source:
    """A bundle that is open to be read; more than once if it is `seekable`."""

    def __init__(self, path: Path, strip: int | None = None) -> None:
        """Opens `path`, a directory, a file, the first of its pieces, or `-`.

        Raises:
            BundleMissing: there is no such file or directory, or it cannot be opened.
            BundleInvalid: pieces are missing, or do not belong together.
        """
        self.path = path
        self._strip = strip
        self._open = ExitStack()
        self._file: BinaryIO | None = None
        self._start: Resumption | None = None
        self._skipped = 0
        self._whole: Pieces | None = None
        self._stream: ByteStream | None = None
        try:
            self._pieces = () if self.is_piped else find_pieces(path)
            if self.is_piped:
                self._file = sys.stdin.buffer
            elif self._pieces:
                self._whole = Pieces(self._pieces)
                self._file = self._open.enter_context(io.BufferedReader(self._whole, CHUNK))
            elif not path.is_dir():
                self._file = self._open.enter_context(path.open("rb"))
                os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        except OSError as error:
            raise BundleMissing(f"cannot open the bundle {path}: {error.strerror}") from error

    @property
    def is_piped(self) -> bool:
        """Whether it comes from standard input: of no known size, once, and never to be recognised."""
        return self.path == STANDARD_INPUT

    @cached_property
    def is_plain(self) -> bool:
        """Whether any part of it can be read without what is before: a plain tar that is no pipe, or a directory."""
        if self._file is None or self.is_piped:
            return self._file is None
        return not is_compressed(self.path, self._file)

    @property
    def file(self) -> BinaryIO | None:
        """The bytes as they lie on disk, to be read between two other uses; None for a directory and a pipe."""
        return None if self.is_piped else self._file

    @property
    def files(self) -> tuple[Path, ...]:
        """What it consists of on disk."""
        if self.is_piped:
            return ()
        return tuple(self._walk()) if self._file is None else self._pieces or (self.path,)

    @cached_property
    def size(self) -> int | None:
        """Bytes of the file, or of all archives in the directory; None for a pipe."""
        if self.is_piped:
            return None
        if self._file is not None:
            return file_size(self._file)
        return sum(path.lstat().st_size for path in self._walk())

    @property
    def position(self) -> int:
        """Bytes of a compressed file that have been read, or that came out of a pipe."""
        if self._file is None or self._file.closed:
            return 0
        if self.is_piped:
            return self._stream.position if self._stream else 0
        if self._whole is not None:
            return self._whole.tell()
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR)  # file.tell() would wait for the reading thread

    @cached_property
    def total(self) -> int | None:
        """How many archives there are, if that can be known without reading them: not of a compressed tar."""
        if not self.is_plain:
            return None
        return sum(1 for _ in self._walk()) if self._file is None else len(self._places[0])

    def resume(self, checkpoint: Checkpoint, end: int) -> bool:
        """Let `members` begin at byte `end` of the tar; False if the file is not what the checkpoint was made of.

        Raises:
            BundleInvalid: the file cannot be read.
        """
        if self.file is None or end < checkpoint.offset:
            return False
        try:
            self._start = resume_at(self.file, checkpoint)
        except OSError as error:
            raise BundleInvalid(f"cannot read {self.path}: {error.strerror}") from error
        self._skipped = end
        return self._start is not None

    def checkpoint(self, until: int) -> Checkpoint | None:
        """A newer one than before from which a load can go on at byte `until` of the tar."""
        return self._stream.checkpoint(until) if isinstance(self._stream, GzipStream) else None

    def members(self) -> Iterator[Member]:
        """The archives, those first without which nothing starts if their order is free; other files are passed over.

        Raises:
            BundleInvalid: the bundle cannot be read on; what came before it is good.
        """
        if self._file is None:
            return self._directory_members()
        return self._plain_members(self._file) if self.is_plain else self._tar_members(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _tar_members(self, file: BinaryIO) -> Iterator[Member]:
        try:
            with open_stream(self.path, file, self._start) as stream:
                self._stream = stream
                if self._start is not None:
                    stream.skip(self._skipped - stream.position)
                for entry in self._archives(stream):
                    yield self._member(entry.name, entry.content, _fault(entry), _end(stream.position, entry))
        except MemberInvalid as error:  # a header of the bundle itself
            raise self._no_tar(error) from error

    def _plain_members(self, file: BinaryIO) -> Iterator[Member]:
        """By their places, so that what the bundle's tar has last may come first."""
        places, fault = self._places
        stream = FileStream(self.path, file)
        whole, cut = (places, []) if fault is None else (places[:-1], places[-1:])
        for place in (*sorted(whole, key=lambda place: rank(self._below_root(place.name))), *cut):
            stream.seek(place.offset)
            content = Window(stream, place.size, self._truncated)
            yield self._member(place.name, content, place.fault)
        if fault is not None:
            raise fault

    @cached_property
    def _places(self) -> tuple[list[_Place], BundleInvalid | None]:
        """The archives of a plain tar, and why there are no more."""
        assert self._file is not None
        places = []
        try:
            with open_stream(self.path, self._file) as stream:
                for entry in self._archives(stream):
                    place = _Place(entry.name, stream.position, entry.content.size, _fault(entry))
                    places.append(place)  # those before a fault count
        except BundleInvalid as error:
            return places, error
        except MemberInvalid as error:
            return places, self._no_tar(error)
        return places, None

    def _no_tar(self, error: MemberInvalid) -> BundleInvalid:
        return BundleInvalid(f"{self.path}: {error}")

    @property
    def _truncated(self) -> BundleTruncated:
        return BundleTruncated(f"{self.path} ends in the middle of a member: copy it anew and load again")

    def _archives(self, stream: ByteStream) -> Iterator[Entry]:
        for entry in read_entries(stream, self._truncated, end_marked=True):
            if entry.kind is not Kind.DIRECTORY and is_archive(entry.name):
                yield entry
        # A file that was given its full length before its content looks like a tar that ends early.
        if stream.skip(_PADDING) == _PADDING:
            raise self._truncated

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

    def _member(self, name: str, content: Window, fault: MemberInvalid | None, end: int = 0) -> Member:
        try:
            return Member(below_root(name, self._bundle_name, self._strip), content, fault, end)
        except MemberInvalid as error:
            return Member(name, content, error, end)

    def _below_root(self, name: str) -> str:
        with suppress(LoaderError):
            return below_root(name, self._bundle_name, self._strip)
        return name

    @property
    def _bundle_name(self) -> str:
        name = whole_name(self.path)
        return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)

    def _walk(self) -> Iterator[Path]:
        """Sorted, those first without which nothing starts."""
        found = []
        for folder, folders, names in os.walk(self.path):
            folders.sort()
            found += [Path(folder, name) for name in sorted(names) if is_archive(name)]
        return iter(sorted(found, key=lambda path: rank(self._below_root(path.relative_to(self.path).as_posix()))))


def _fault(entry: Entry) -> MemberInvalid | None:
    return None if entry.kind is Kind.FILE else MemberInvalid(f"it is a {entry.kind.value}, not a file")


def _end(position: int, entry: Entry) -> int:
    return position + entry.content.size + -entry.content.size % _BLOCK
