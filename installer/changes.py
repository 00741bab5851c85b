"""What an installation does to a host, as values: each can tell what it will do before it does it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from installer.difference import difference
from installer.errors import CommandFailed, WaitedInVain
from installer.host import Host, shown


class Change(Protocol):
    """One thing done to a host."""

    @property
    def replaces(self) -> "tuple[Replaced, ...]":
        """The files and folders that will be other ones; the journal keeps them first."""

    def describe(self) -> str:
        """The change in one line, without secrets."""

    def difference(self, host: Host) -> Iterator[str]:
        """What it makes of the files that are there, in lines, without secrets."""

    def make(self, host: Host) -> Iterable[str]:
        """Do it; a change that takes long tells what it waits for."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A path, and the SHA-256 of what will stand there: None where that is not known before, "" for nothing."""

    path: Path
    digest: str | None


class Condition(Protocol):
    """Something that comes about by itself."""

    def describe(self) -> str:
        """What has to be."""

    def lacking(self, host: Host) -> str | None:
        """What it still lacks, in a sentence; None once it is."""


class Source(Protocol):
    """Where a large file comes from."""

    def describe(self) -> str:
        """The place, without secrets."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes; whoever asks for all of them knows that they are the right ones.

        Raises:
            SourceUnusable: they cannot be had, or are wrong.
        """


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Have a file with this content; nobody is shown what is secret."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = 0o644
    secret: bool = False

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return (Replaced(self.path, sha256(self.content).hexdigest()),)

    def describe(self) -> str:
        return f"write {self.path} ({self.mode:04o}, {len(self.content)} bytes{', secret' if self.secret else ''})"

    def difference(self, host: Host) -> Iterator[str]:
        old = host.read(self.path)
        if self.secret:
            return iter(("(secret: not shown)",))
        return difference(self.path, old, self.content)

    def make(self, host: Host) -> Iterable[str]:
        host.write(self.path, (self.content,), self.mode)
        return ()


@dataclass(frozen=True, slots=True)
class PlaceFile:
    """Have a file that is too large for the memory."""

    path: Path
    source: Source
    mode: int = 0o755

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return (Replaced(self.path, None),)

    def describe(self) -> str:
        return f"write {self.path} ({self.mode:04o}) from {self.source.describe()}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        host.write(self.path, self.source.pieces(), self.mode)
        return ()


@dataclass(frozen=True, slots=True)
class SetMode:
    """Have a file that only some may read, or that can be run."""

    path: Path
    mode: int

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return (Replaced(self.path, None),)

    def describe(self) -> str:
        return f"set the mode of {self.path} to {self.mode:04o}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        host.set_mode(self.path, self.mode)
        return ()


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Have no such file, or no such empty folder."""

    path: Path

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return (Replaced(self.path, ""),)

    def describe(self) -> str:
        return f"remove {self.path}"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        host.remove(self.path)
        return ()


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Have a folder."""

    path: Path
    mode: int = 0o755

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return (Replaced(self.path, None),)

    def describe(self) -> str:
        return f"make the folder {self.path} ({self.mode:04o})"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        host.make_folder(self.path, self.mode)
        return ()


@dataclass(frozen=True, slots=True)
class Run:
    """Run a program; what it needs of secrets it reads from files."""

    argv: tuple[str, ...]
    why: str
    patience: float = 300.0
    alters: tuple[Path, ...] = ()
    """Files that the program writes, as far as an uninstallation has to bring them back."""

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return tuple(Replaced(path, None) for path in self.alters)

    def describe(self) -> str:
        return f"run '{shown(self.argv)}' ({self.why})"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        host.call(self.argv, patience=self.patience)
        return ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time go by until something is so."""

    condition: Condition
    patience: float

    @property
    def replaces(self) -> tuple[Replaced, ...]:
        return ()

    def describe(self) -> str:
        return f"wait until {self.condition.describe()} (up to {self.patience / 60:.0f} min)"

    def difference(self, host: Host) -> Iterator[str]:
        return iter(())

    def make(self, host: Host) -> Iterable[str]:
        deadline = host.now() + self.patience
        told = None
        while (lacking := self._lacking(host)) is not None:
            if host.now() >= deadline:
                raise WaitedInVain(
                    f"waited {self.patience / 60:.0f} min in vain until {self.condition.describe()}: {lacking}; "
                    "mend that, and run the same command again"
                )
            if lacking != told:
                yield lacking
            told = lacking
            host.pause()

    def _lacking(self, host: Host) -> str | None:
        """A program that hangs or fails while things come up is no reason to give up."""
        try:
            return self.condition.lacking(host)
        except CommandFailed as error:
            return str(error)


def ensure_file(host: Host, path: Path, content: bytes, mode: int = 0o644, *, secret: bool = False) -> Iterator[Change]:
    """What it takes until the file is as given; nothing if it is."""
    entry = host.look(path)
    if entry is None or entry.kind != "file" or host.read(path) != content:
        yield WriteFile(path, content, mode, secret)
    elif entry.mode != mode:
        yield SetMode(path, mode)
