"""The machine that is installed on: its files, its programs, its clock. Nothing else in the installer touches it."""

import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from installer.errors import CommandFailed, HostRefuses, NoProgram
from registry.program import child_command

K0RDENTD = tuple(child_command())
"""This program, to be run for another of its commands."""

_PIECE = 1 << 20
_PATIENCE = 120.0
_TOLD = 5  # lines of a program's last words
_FOLDER = 0o755
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a path: `file`, `folder` or `link`; of a link, where it leads."""

    kind: str
    mode: int
    owner: int
    group: int
    target: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """How a program ended, and what it wrote."""

    code: int
    text: str
    errors: str

    @property
    def last_words(self) -> str:
        """The end of what it complained about, on one line."""
        lines = [line.strip() for line in (self.errors.strip() or self.text.strip()).splitlines()]
        return "; ".join(lines[-_TOLD:]) or "no output"


@dataclass(frozen=True, slots=True)
class Host:
    """Files below `root`, and programs; every path is given as the host itself would say it.

    Tests have a root of their own, and programs first on the `PATH` of `environment`. A program that is named by a
    path is the one below `root`, unless it is our own.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] | None = None
    pace: float = 2.0
    """Seconds between two looks at something that is waited for."""
    own_address: str | None = None
    """By which others reach it, where that is not the address of its default route."""

    def at(self, path: Path) -> Path:
        """Where `path` really is."""
        return self.root / path.relative_to("/")

    def look(self, path: Path) -> Entry | None:
        """What stands at `path`; None where nothing does.

        Raises:
            HostRefuses: it cannot be looked at.
        """
        with _refusals(f"look at {path}"):
            try:
                found = self.at(path).lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            kind = "link" if stat.S_ISLNK(found.st_mode) else "folder" if stat.S_ISDIR(found.st_mode) else "file"
            target = str(self.at(path).readlink()) if kind == "link" else ""
        return Entry(kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, target)

    def read(self, path: Path) -> bytes | None:
        """The content of a file; None where there is none.

        Raises:
            HostRefuses: it cannot be read.
        """
        with _refusals(f"read {path}"):
            try:
                return self.at(path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def digest(self, path: Path) -> str | None:
        """SHA-256 of a file, in hexadecimal, however large it is; None where there is none."""
        with _refusals(f"read {path}"):
            try:
                with self.at(path).open("rb") as file:
                    hashing = sha256()
                    while piece := file.read(_PIECE):
                        hashing.update(piece)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return hashing.hexdigest()

    def entries(self, folder: Path) -> list[Path]:
        """What is in a folder, by name; nothing where there is no such folder."""
        with _refusals(f"list {folder}"):
            try:
                return sorted(folder / each.name for each in self.at(folder).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def missing_folders(self, path: Path) -> list[Path]:
        """The folders above `path` that are still to be made, the outermost first."""
        return [folder for folder in reversed(path.parents) if self.look(folder) is None]

    def write(self, path: Path, pieces: Iterable[bytes], mode: int, owner: tuple[int, int] | None = None) -> None:
        """Make a file appear whole, with its folders; a file or link that was there is replaced.

        Raises:
            HostRefuses: the disk is full, or the path cannot be written.
        """
        partial = self.at(path).with_name(f"{path.name}.partial")
        with _refusals(f"write {path}"):
            self.at(path).parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # what a killed run left
            try:
                # A secret must not be readable for the moment before its mode is set.
                with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.writelines(pieces)
                    os.fchmod(file.fileno(), mode)
                    if owner is not None:
                        os.fchown(file.fileno(), *owner)
                    file.flush()
                    os.fsync(file.fileno())
                partial.rename(self.at(path))
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            _sync(self.at(path).parent)

    def link(self, path: Path, target: str) -> None:
        """Make a symbolic link appear, in the place of what was there."""
        partial = self.at(path).with_name(f"{path.name}.partial")
        with _refusals(f"write {path}"):
            self.at(path).parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            partial.symlink_to(target)
            partial.rename(self.at(path))

    def set_mode(self, path: Path, mode: int) -> None:
        """Let others read or run a file, or keep them from it."""
        with _refusals(f"change the mode of {path}"):
            self.at(path).chmod(mode)

    def make_folder(self, path: Path, mode: int = _FOLDER) -> None:
        """Make a folder, with those above it; one that is there gets the mode."""
        with _refusals(f"make the folder {path}"):
            self.at(path).mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            self.at(path).chmod(mode)

    def remove(self, path: Path) -> None:
        """Take away a file or link, or an empty folder; what is not there is fine."""
        with _refusals(f"remove {path}"):
            try:
                self.at(path).unlink()
            except IsADirectoryError:
                self.at(path).rmdir()
            except (FileNotFoundError, NotADirectoryError):
                return

    def remove_if_empty(self, folder: Path) -> None:
        """Take away a folder that has nothing in it; any other is left."""
        if self.look(folder) is not None and not self.entries(folder):
            self.remove(folder)

    def remove_tree(self, folder: Path) -> None:
        """Take away a folder with all that is in it; what is not there is fine."""
        with _refusals(f"remove {folder}"):
            if self.at(folder).is_dir():
                shutil.rmtree(self.at(folder))

    def run(self, argv: Sequence[str], stdin: bytes = b"", patience: float = _PATIENCE) -> Output:
        """Run a program to its end, whatever that is. Secrets go by `stdin` or by file, never by `argv`.

        Raises:
            NoProgram: there is none that could be started.
            CommandFailed: it does not end within `patience` seconds.
        """
        is_below = argv[0].startswith("/") and argv[0] != sys.executable
        program = str(self.at(Path(argv[0]))) if is_below else argv[0]
        try:
            ended = subprocess.run(
                [program, *argv[1:]],
                input=stdin,
                capture_output=True,
                check=False,
                timeout=patience,
                env=None if self.environment is None else dict(self.environment),
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"'{shown(argv)}' did not end within {patience:.0f} s") from error
        except OSError as error:
            raise NoProgram(f"cannot run '{shown(argv)}': {error.strerror}") from error
        return Output(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))

    def call(self, argv: Sequence[str], stdin: bytes = b"", patience: float = _PATIENCE) -> str:
        """What a program prints; it has to succeed.

        Raises:
            CommandFailed: it did not.
        """
        output = self.run(argv, stdin, patience)
        if output.code != 0:
            raise CommandFailed(f"'{shown(argv)}' failed (exit code {output.code}): {output.last_words}")
        return output.text

    def has(self, program: str) -> bool:
        """Whether a program of this name would be found."""
        path = (os.environ if self.environment is None else self.environment).get("PATH", os.defpath)
        return any(os.access(Path(folder) / program, os.X_OK) for folder in path.split(os.pathsep))

    def address(self) -> str | None:
        """The address by which others reach this machine: that of the route to the rest of the world."""
        if self.own_address is not None:
            return self.own_address
        for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                try:
                    probe.connect((elsewhere, 9))  # of UDP, nothing is sent
                except OSError:
                    continue
                return str(probe.getsockname()[0])
        return None

    def is_own(self, address: str) -> bool:
        """Whether an address is one of this machine's; a name is if it is the machine's own."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                socket.inet_pton(family, address)
                probe.bind((address, 0))
            except OSError:
                return address in (self.name(), "localhost")
        return True

    def architecture(self) -> str:
        """As images and k0s call it."""
        machine = platform.machine()
        return _ARCHITECTURES.get(machine, machine)

    def name(self) -> str:
        """The machine's own name, by which its node goes."""
        return socket.gethostname().lower()

    def pause(self) -> None:
        """Let time go by between two looks."""
        time.sleep(self.pace)

    def now(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()


def shown(argv: Sequence[str]) -> str:
    """A command as a person would type it; a long one is cut."""
    return " ".join(argv)[:400]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _refusals(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostRefuses(f"cannot {doing}: {error.strerror or error}") from error
