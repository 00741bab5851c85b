"""What stood on a host before an installation: kept before each change, so that a removal brings it back.

    JOURNAL/<id>.json      a path, what stood there, and the digests of what we wrote
    JOURNAL/<id>.content   the file that stood there, if there was one

A record is durable before the change that it is for; folders that are made on the way have records of their own. The
first record of a path is the one that counts: later ones only add to the digests by which a removal tells our own
files from those that somebody changed since.
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
from installer.paths import INSTALLER, K0S_UNITS, KUBE_CACHE, PRELOAD_STORE

JOURNAL = INSTALLER / "journal"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Record:
    """A path as it was before, and what was written to it since (None: what nobody could know before)."""

    path: Path
    before: Entry | None = None
    digest: str | None = None
    written: tuple[str | None, ...] = ()

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

    @property
    def is_of_the_journal(self) -> bool:
        """Whether the journal lies in it, so that it goes last."""
        return JOURNAL.is_relative_to(self.path)

    @classmethod
    def of(cls, host: Host, path: Path) -> Self:
        """The path as it is now, with its file kept."""
        before = host.look(path)
        record = cls(path, before)
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
                written=tuple(document["written"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InstallFailed(
                f"{file} is no record of an installation: restore it, or remove it ({error})"
            ) from error

    def save(self, host: Host) -> None:
        """Make the record durable."""
        host.write(self.file, (json.dumps(asdict(self) | {"path": str(self.path)}).encode(),), _PRIVATE)

    def is_back(self, host: Host) -> bool:
        """Whether the path is as it was."""
        now = host.look(self.path)
        if now is None or now != self.before:
            return now == self.before
        return now.kind != "file" or host.digest(self.path) == self.digest

    def is_ours(self, host: Host) -> bool:
        """Whether what stands there is what we wrote, or nothing does, as far as that can be told."""
        if None in self.written:
            return True
        now = host.look(self.path)
        return now is None or (now.kind == "file" and host.digest(self.path) in self.written)

    def is_gone(self, host: Host) -> bool:
        """Whether a file that we wrote is there no more, and we did not take it away."""
        return any(self.written) and "" not in self.written and host.look(self.path) is None

    def restore(self, host: Host) -> None:
        """Have the path be as it was; a folder of ours that others put something into stays."""
        now = host.look(self.path)
        if self.before is None and now is not None and now.kind == "folder":
            host.remove_if_empty(self.path)
        elif self.before is None:
            host.remove(self.path)
        elif self.before.kind == "folder":
            host.make_folder(self.path, self.before.mode)
        elif self.before.kind == "link":
            host.link(self.path, self.before.target)
        else:
            owner = (self.before.owner, self.before.group)
            host.write(self.path, _pieces(host, self.content), self.before.mode, owner)

    def forget(self, host: Host) -> None:
        """Take the record away, and the half of a file that a killed run left."""
        host.remove(self.path.with_name(f"{self.path.name}.partial"))
        host.remove(self.content)
        host.remove(self.file)


def keep(host: Host, replaced: Iterable[Replaced]) -> None:
    """Record what stands at these paths, before something else does."""
    for each in replaced:
        _begin(host)
        for folder in host.missing_folders(each.path):
            Record(folder, written=(None,)).save(host)
        empty = Record(each.path)
        record = Record.of(host, each.path) if host.look(empty.file) is None else Record.load(host, empty.file)
        if each.digest not in record.written:
            replace(record, written=(*record.written, each.digest)).save(host)


def records(host: Host) -> list[Record]:
    """All that was kept, the deepest paths first, so that folders are empty when their turn comes."""
    found = [Record.load(host, file) for file in host.entries(JOURNAL) if file.suffix == ".json"]
    return sorted(found, key=lambda record: (-len(record.path.parts), record.path))


def has_begun_k0s(host: Host) -> bool:
    """Whether an installation came as far as to make k0s a service: only then is the k0s of this host ours."""
    return any(host.look(Record(unit).file) is not None for unit in K0S_UNITS)


def close(host: Host) -> None:
    """Take the journal itself away, what a killed run left beside it, and the folders that were made for them."""
    host.remove_tree(PRELOAD_STORE)
    host.remove_tree(KUBE_CACHE)
    made = [record.path for record in records(host) if record.is_of_the_journal]
    for file in host.entries(JOURNAL):
        host.remove(file)
    for folder in made:
        host.remove_if_empty(folder)


def _begin(host: Host) -> None:
    """The journal's own folders are the first things in it."""
    if host.look(JOURNAL) is None:
        missing = [*host.missing_folders(JOURNAL), JOURNAL]
        host.make_folder(JOURNAL, 0o700)
        for folder in missing:
            Record(folder, written=(None,)).save(host)


def _pieces(host: Host, path: Path) -> Iterator[bytes]:
    with host.at(path).open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece
