"""What stood on a host before an installation: kept before each change, so that a removal brings it back.

    JOURNAL/<id>.json      a path, what stood there, the folders missing above it, the digests of what we wrote
    JOURNAL/<id>.content   the file that stood there, if there was one

A record is durable before the change that it is for. The first record of a path is the one that counts; later ones
only add to the digests by which a removal tells our own files from those that somebody changed since.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Self

from installer.changes import Replaced
from installer.errors import InstallFailed
from installer.host import Entry, Host

JOURNAL = Path("/var/lib/k0rdentd/installer/journal")
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Record:
    """A path as it was before, and what was written to it since (None: what nobody could know before)."""

    path: Path
    before: Entry | None
    digest: str | None
    folders: tuple[Path, ...]
    written: tuple[str | None, ...]

    @property
    def name(self) -> str:
        """By which its files in the journal go."""
        return sha256(str(self.path).encode()).hexdigest()[:20]

    @property
    def file(self) -> Path:
        return JOURNAL / f"{self.name}.json"

    @property
    def content(self) -> Path:
        """Where the file that stood there is kept."""
        return JOURNAL / f"{self.name}.content"

    @classmethod
    def of(cls, host: Host, path: Path) -> Self:
        """The path as it is now, with its file kept."""
        before = host.look(path)
        record = cls(path, before, None, tuple(host.missing_folders(path)), ())
        if before is None or before.kind != "file":
            return record
        host.write(record.content, _pieces(host, path), _PRIVATE)
        return replace(record, digest=host.digest(record.content))

    @classmethod
    def load(cls, host: Host, file: Path) -> Self:
        """A record of the journal.

        Raises:
            InstallFailed: it cannot be read back.
        """
        try:
            document = json.loads(host.read(file) or b"")
            before = document["before"]
            return cls(
                path=Path(document["path"]),
                before=None if before is None else Entry(**before),
                digest=document["digest"],
                folders=tuple(Path(each) for each in document["folders"]),
                written=tuple(document["written"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InstallFailed(
                f"{file} is no record of an installation: restore it, or remove it ({error})"
            ) from error

    def save(self, host: Host) -> None:
        document = asdict(self) | {"path": str(self.path), "folders": [str(each) for each in self.folders]}
        host.write(self.file, (json.dumps(document).encode(),), _PRIVATE)

    def is_back(self, host: Host) -> bool:
        """Whether the path is as it was."""
        now = host.look(self.path)
        if now != self.before or now is None:
            return now == self.before
        return now.kind != "file" or host.digest(self.path) == self.digest

    def is_ours(self, host: Host) -> bool:
        """Whether what stands there is what we wrote, as far as that can be told."""
        return None in self.written or (host.digest(self.path) or "") in self.written


def keep(host: Host, replaced: Iterable[Replaced]) -> None:
    """Record what stands at these paths, before something else does."""
    for each in replaced:
        _begin(host)
        record = _find(host, each.path) or Record.of(host, each.path)
        if each.digest not in record.written:
            replace(record, written=(*record.written, each.digest)).save(host)


def records(host: Host) -> list[Record]:
    """All that was kept, the deepest paths first, so that folders are empty when their turn comes."""
    found = [Record.load(host, file) for file in host.entries(JOURNAL) if file.suffix == ".json"]
    return sorted(found, key=lambda record: (-len(record.path.parts), record.path))


def _begin(host: Host) -> None:
    """The journal's own folder is the first thing in it."""
    if host.look(JOURNAL) is None:
        missing = tuple(host.missing_folders(JOURNAL))
        host.make_folder(JOURNAL, 0o700)
        Record(JOURNAL, None, None, missing, (None,)).save(host)


def _find(host: Host, path: Path) -> Record | None:
    file = Record(path, None, None, (), ()).file
    return None if host.look(file) is None else Record.load(host, file)


def _pieces(host: Host, path: Path) -> Iterator[bytes]:
    with host.at(path).open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece
