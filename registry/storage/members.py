"""Which roots a store has: the table `roots` of its index.

Without one of them its blobs would seem to be lost: a load would bring them again, and clients would get errors.
A disk that is not mounted leaves an empty directory in its place, which must not become a new root in silence.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from registry.oci.digest import Digest
from registry.storage import inventory
from registry.storage.blobs import StoredBlob
from registry.storage.errors import RootMissing, StorageForeign, StorageFull
from registry.storage.index import Change, Index, Snapshot
from registry.storage.roots import Root, has_index, index_root, is_root, join, open_roots

_ROWS = 500


@dataclass(frozen=True, slots=True)
class Member:
    """A root as the index knows it; `path` is where it was when it was last given."""

    id: str
    number: int
    path: Path
    is_lost: bool = False

    @property
    def row(self) -> bytes:
        return orjson.dumps({"number": self.number, "path": str(self.path), "lost": self.is_lost})


def members(snapshot: Snapshot) -> list[Member]:
    """All roots that the store ever had."""
    found = []
    for key, row in snapshot.rows.scan("roots"):
        fields = orjson.loads(row)
        found.append(Member(key.decode(), fields["number"], Path(fields["path"]), fields.get("lost", False)))
    return found


def admit(index: Index, roots: Sequence[Root]) -> tuple[Root, ...]:
    """The roots with their numbers; new ones get theirs.

    Raises:
        StorageForeign: there is a new one, and the index is read-only.
    """
    if index.read_only:
        return _known(index, roots)
    with index.change() as change:
        numbered = tuple(_admit(change, root) for root in roots)
    home = index_root(numbered)
    with suppress(StorageFull):  # the next opening does it
        for root in numbered:
            join(root, home)
    return numbered


def refuse_stand_ins(paths: Sequence[Path]) -> None:
    """That no new root would be made where one of the store, whose disk is not mounted, should be.

    Raises:
        RootMissing: one would be.
        StorageMissing, StorageForeign: as `index_root`.
    """
    there = open_roots([path for path in paths if is_root(path)], create=False)
    if not 0 < len(there) < len(paths):
        return
    home = index_root(there).layout
    if has_index(home):
        with closing(Index(home.index)) as index:
            require_all(index, there, paths)


def require_all(index: Index, roots: Sequence[Root], paths: Sequence[Path]) -> None:
    """That every root of the store that has blobs is among these, which were looked for at `paths`.

    Raises:
        RootMissing: one is not.
    """
    given = [path.absolute() for path in paths]
    for member in _absent(index, roots):
        if member.path in given:
            fault = f"{member.path} is empty, and blobs of this store were there: is its disk mounted (id {member.id})?"
        else:
            fault = (
                f"the storage root {member.path} (id {member.id}) has blobs of this store and is not given: mount its "
                "disk and name it too with --storage."
            )
        others = "".join(f" --storage {path}" for path in given if path != member.path)
        way = f"If the disk is lost, run 'k0rdentd store drain --lost {member.path}{others}'"
        raise RootMissing(f"{fault} {way}, and load the bundles again")


def forget_blobs(index: Index, member: Member) -> Iterator[StoredBlob]:
    """Each blob that is lost with this root, which is one no more; a push or a load brings it again."""
    place: Digest | None = None
    while True:
        with index.change() as change:
            batch = [blob for blob, _ in itertools.islice(inventory.blobs(change, place), _ROWS)]
            lost = [blob for blob in batch if blob.root == member.number]
            for blob in lost:
                inventory.delete_blob(change, blob.digest)
            if not batch:
                _put(change, replace(member, is_lost=True))
        yield from lost
        if not batch:
            return
        place = batch[-1].digest


def _known(index: Index, roots: Sequence[Root]) -> tuple[Root, ...]:
    with index.snapshot() as snapshot:
        numbers = {member.id: member.number for member in members(snapshot)}
    for root in roots:
        if root.id not in numbers:
            raise StorageForeign(f"{root.layout.root} is new to this store, and its index is read-only: leave it out")
    return tuple(replace(root, number=numbers[root.id]) for root in roots)


def _admit(change: Change, root: Root) -> Root:
    known = members(change)
    old = next((member for member in known if member.id == root.id), None)
    member = Member(root.id, len(known) if old is None else old.number, root.layout.root)
    if member != old:  # a full disk must not keep a store from being opened
        _put(change, member)
    return replace(root, number=member.number)


def _absent(index: Index, roots: Sequence[Root]) -> list[Member]:
    """The roots that have blobs and are not among these."""
    given = {root.id for root in roots}
    with index.snapshot() as snapshot:
        absent = [member for member in members(snapshot) if member.id not in given and not member.is_lost]
        used = inventory.roots_in_use(snapshot) if absent else set()
    return [member for member in absent if member.number in used]


def _put(change: Change, member: Member) -> None:
    change.rows.put("roots", member.id.encode(), member.row)
