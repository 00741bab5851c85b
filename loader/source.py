"""The members of a bundle, wherever it comes from: a tar, compressed, in pieces or piped, or a directory."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from loader.checkpoint import Checkpoint
from loader.errors import (
    BundleInvalid,
    BundleMissing,
    BundleTruncated,
    HeaderTooLarge,
    MemberInvalid,
    NoArchive,
)
from loader.folder import Folder
from loader.hashing import HashedFile
from loader.member import Member, Root
from loader.naming import STANDARD_INPUT, bundle_stem, is_archive, shown
from loader.pieces import find_pieces, whole_name
from loader.rawfile import BundleFile, Pipe, RawFile
from loader.stream import ByteStream, FileStream, GzipStream, Window, is_compressed, open_stream, unreadable
from loader.tar import PADDING, Entry, Kind, read_entries
from registry.text import spelled


@dataclass(frozen=True, slots=True)
class _Place:
    """A member of a plain tar."""

    name: str
    offset: int
    size: int
    fault: MemberInvalid | None


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the reading begins, if not at the front."""

    checkpoint: Checkpoint
    end: int
    """Of the tar, this much is done with."""


class Source:
    """A bundle that is open to be read."""

    def __init__(self, path: Path, strip: int | None = None) -> None:
        """Opens `path`: a directory, a file, the first of its pieces, or `-`.

        Raises:
            BundleMissing: there is no such file or directory, or it cannot be opened.
            BundleInvalid: pieces are missing, or do not belong together.
        """
        self.path = path
        self._strip = strip
        self._pieces = () if self.is_piped else find_pieces(path) or (path,)
        self._file: RawFile | None = None
        self._pipe: Pipe | None = None
        self._hashed: HashedFile | None = None
        self._start: _Start | None = None
        self._stream: ByteStream | None = None
        try:
            if self.is_piped:
                self._file = self._pipe = Pipe.of(sys.stdin.fileno())
            elif not path.is_dir():
                self._file = BundleFile(self._pieces)
        except OSError as error:
            raise BundleMissing(f"cannot open the bundle {path}: {error.strerror}") from error

    @property
    def is_piped(self) -> bool:
        """Whether it comes from standard input: of no known size, once, and never to be recognised."""
        return self.path == STANDARD_INPUT

    @property
    def name(self) -> str:
        """What it is called in what is kept."""
        return self.shown if self.is_piped else spelled(self.path.resolve())

    @property
    def file_name(self) -> str:
        """The last part of that, as it was given."""
        return self.shown if self.is_piped else spelled(Path(self.path.name))

    @property
    def shown(self) -> str:
        """What it is called in a sentence."""
        return shown(self.path)

    @cached_property
    def is_plain(self) -> bool:
        """Whether any part of it can be read without what is before: a plain tar that is no pipe, or a directory."""
        return self._file is None or (not self.is_piped and not is_compressed(self.path, self._file))

    @property
    def files(self) -> tuple[Path, ...]:
        """What it consists of on disk."""
        return tuple(self._folder.archives()) if self._file is None else self._pieces

    @cached_property
    def size(self) -> int | None:
        """Bytes of the file, or of all archives in the directory; None for a pipe."""
        if self._file is not None:
            return self._file.size
        return sum(path.lstat().st_size for path in self._folder.archives())

    @property
    def position(self) -> int:
        """Bytes of the file, or of the pipe, that have been read; 0 for a directory."""
        return 0 if self._file is None else self._file.position

    @cached_property
    def total(self) -> int | None:
        """How many archives there are, if that can be known without reading them: not of a compressed tar."""
        if self._file is None:
            return len(self._folder.archives())
        if not self.is_plain:
            return None
        places, fault = self._places
        return None if fault else len(places)

    def sample(self, offset: int, count: int) -> bytes:
        """Some bytes of the file, which count as not read; none of a directory.

        Raises:
            BundleInvalid: the disk cannot give them.
        """
        buffer = memoryview(bytearray(count))
        try:
            return b"" if self._file is None else bytes(buffer[: self._file.pread(buffer, offset)])
        except OSError as error:
            raise unreadable(self.path, error) from error

    def hash(self, algorithms: Iterable[str]) -> HashedFile:
        """Hash the bundle file, all of it, while it is read; to be asked for before that, and after `resume`."""
        assert self._file is not None
        assert self._hashed is None
        self._file = self._hashed = HashedFile(Path(self.shown), self._file, algorithms)
        if self._start is not None:
            self._hashed.pass_over(self._start.checkpoint.begin)
        return self._hashed

    def resume(self, checkpoint: Checkpoint, end: int) -> bool:
        """Let `members` begin at byte `end` of the tar; False if the file is not what the checkpoint was made of.

        Raises:
            BundleInvalid: the file cannot be read.
        """
        if self._file is None or end < checkpoint.offset:
            return False
        try:
            is_in = checkpoint.is_in(self._file)
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._start = _Start(checkpoint, end) if is_in else None
        return is_in

    @cached_property
    def begins_as_before(self) -> bool:
        """Whether what lies before the place of `resume` is what it was, byte for byte; where nobody hashes, True."""
        if self._hashed is None or self._start is None:
            return True
        before = self._start.checkpoint
        return before.sha256 != "" and self._hashed.beginning(before.packed) == before.sha256

    def checkpoint(self, until: int) -> Checkpoint | None:
        """A newer one than before from which a load can go on at byte `until` of the tar."""
        found = self._stream.checkpoint(until) if isinstance(self._stream, GzipStream) else None
        if found is None or self._hashed is None:
            return found
        # What was made of another beginning must not be handed on to a third load.
        return replace(found, sha256=self._hashed.beginning(found.packed)) if self.begins_as_before else None

    def members(self) -> Iterator[Member]:
        """The archives; other files are passed over.

        Where the order is free, those come first without which nothing starts. It is not where the bundle is hashed,
        which goes from front to back.

        Raises:
            BundleInvalid: the bundle cannot be read on; what came before it is good.
        """
        if self._file is None:
            return self._folder.members()
        if self.is_plain and self._hashed is None:
            return self._plain_members(self._file)
        return self._tar_members(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def interrupt(self) -> None:
        """Let nobody wait for a pipe any more: what reads it fails. Also out of a signal's handler."""
        if self._pipe is not None:
            self._pipe.interrupt()

    def _tar_members(self, file: RawFile) -> Iterator[Member]:
        begin = self._start.checkpoint if self._start else None
        done = self._start.end if self._start else 0
        try:
            with open_stream(Path(self.shown), file, begin) as stream:
                self._stream = stream
                stream.skip(done - begin.offset if begin else 0)
                for entry in self._archives(stream, done):
                    yield self._root.member(entry.name, entry.content, _fault(entry), entry.end)
        except MemberInvalid as error:  # a header of the bundle itself
            raise self._no_tar(error) from error

    def _plain_members(self, file: RawFile) -> Iterator[Member]:
        """By their places, so that what the bundle's tar has last may come first."""
        places, fault = self._places
        stream = FileStream(self.path, file)
        whole, cut = (places, []) if fault is None else (places[:-1], places[-1:])
        for place in (*sorted(whole, key=lambda place: self._root.rank(place.name)), *cut):
            stream.seek(place.offset)
            content = Window(stream, place.size, self._truncated)
            yield self._root.member(place.name, content, place.fault)
        if fault is not None:
            raise fault

    @cached_property
    def _places(self) -> tuple[list[_Place], BundleInvalid | None]:
        """The archives of a plain tar, and why there are no more."""
        places: list[_Place] = []
        file = BundleFile(self._pieces)
        try:
            for entry in self._archives(FileStream(self.path, file)):
                place = _Place(entry.name, entry.offset, entry.content.size, _fault(entry))
                places.append(place)  # those before a fault count
        except BundleInvalid as error:
            return places, error
        except MemberInvalid as error:
            return places, self._no_tar(error)
        finally:
            file.close()
        return places, None

    def _no_tar(self, error: MemberInvalid) -> BundleInvalid:
        if isinstance(error, HeaderTooLarge):
            return BundleInvalid(f"{self.shown}: {error}")
        doubt = "is it the airgap bundle? Then " if isinstance(error, NoArchive) else ""
        return BundleInvalid(f"{self.shown}: {error}: {doubt}copy it anew and load again")

    @property
    def _truncated(self) -> BundleTruncated:
        return BundleTruncated(f"{self.shown} ends in the middle of a member: copy it anew and load again")

    def _archives(self, stream: ByteStream, done: int = 0) -> Iterator[Entry]:
        for entry in read_entries(stream, self._truncated, end_marked=True, start=done):
            if entry.kind is not Kind.DIRECTORY and is_archive(entry.name):
                yield entry
        # A file that was given its full length before its content looks like a tar that ends early.
        if stream.skip(PADDING) == PADDING:
            raise self._truncated

    @property
    def _folder(self) -> Folder:
        return Folder(self.path, self._root)

    @cached_property
    def _root(self) -> Root:
        return Root(bundle_stem(whole_name(self.path)), self._strip)


def _fault(entry: Entry) -> MemberInvalid | None:
    return None if entry.kind is Kind.FILE else MemberInvalid(f"it is a {entry.kind.value}")
