"""The ledger of missing images: bounded, and one for all processes."""

from collections.abc import Iterable, Iterator
from operator import attrgetter

from registry.oci.reference import RepositoryName, Tag
from registry.storage import keys
from registry.storage.index import Change, Index, Snapshot
from registry.storage.misses import Miss, Wanted, keep_fairly

LIMIT = 10_000
CLIENT_LIMIT = 1_000

_TABLE = "misses"
_DOCKER_HUB = "docker.io"
_LIBRARY = "library/"


class Ledger:
    """What was asked for and is not there; the least recently seen leave when there are too many."""

    def __init__(self, index: Index, limit: int = LIMIT, client_limit: int = CLIENT_LIMIT) -> None:
        self._index = index
        self._limit = limit
        self._client_limit = client_limit

    def add(self, misses: Iterable[Miss]) -> None:
        """Count them in, with whatever other processes have counted; on a read-only disk they are forgotten.

        Raises:
            StorageFull: the disk is; nothing has changed.
        """
        if self._index.read_only:
            return
        with self._index.change() as change:
            before = change.count(_TABLE)
            for miss in misses:
                known = _known(change, miss.wanted)
                _put(change, miss if known is None else known + miss)
            if change.count(_TABLE) > before:
                self._trim(change)

    def still_missing(self) -> list[Miss]:
        """The newest first, without the images that have come since."""
        with self._index.snapshot() as snapshot:
            missing = [miss for miss in _all(snapshot) if not _is_there(snapshot, miss.wanted)]
        return sorted(missing, key=attrgetter("last"), reverse=True)

    def clear(self) -> None:
        """Forget all of it."""
        with self._index.change() as change:
            for miss in list(_all(change)):
                _delete(change, miss.wanted)

    def _trim(self, change: Change) -> None:
        if change.count(_TABLE) <= min(self._limit, self._client_limit):
            return
        misses = list(_all(change))
        kept = {miss.wanted for miss in keep_fairly(misses, self._limit, self._client_limit)}
        for miss in misses:
            if miss.wanted not in kept:
                _delete(change, miss.wanted)


def short_name(upstream: str | None, name: RepositoryName) -> RepositoryName | None:
    """`x` for the `library/x` of docker.io, where a client writes `x` in full and a bundle does not; else None.

    Only for who says that it means docker.io. Clients that push say nothing, and if a blob of `x` was
    shown to one of them in `library/x`, it would leave that blob out.
    """
    if upstream != _DOCKER_HUB or not name.startswith(_LIBRARY) or name.count("/") != 1:
        return None
    return RepositoryName(name.removeprefix(_LIBRARY))


def _known(snapshot: Snapshot, wanted: Wanted) -> Miss | None:
    row = snapshot.rows.get(_TABLE, keys.miss_key(wanted))
    return None if row is None else Miss.from_row(row)


def _all(snapshot: Snapshot) -> Iterator[Miss]:
    for _, row in snapshot.rows.scan(_TABLE):
        yield Miss.from_row(row)


def _put(change: Change, miss: Miss) -> None:
    change.rows.put(_TABLE, keys.miss_key(miss.wanted), miss.to_row())


def _delete(change: Change, wanted: Wanted) -> None:
    change.rows.delete(_TABLE, keys.miss_key(wanted))


def _is_there(snapshot: Snapshot, wanted: Wanted) -> bool:
    names = (wanted.repository, short_name(wanted.upstream, wanted.repository))
    return any(name is not None and _has(snapshot, name, wanted) for name in names)


def _has(snapshot: Snapshot, name: RepositoryName, wanted: Wanted) -> bool:
    if isinstance(wanted.reference, Tag):
        return snapshot.tagged(name, wanted.reference) is not None
    return snapshot.has_manifest(name, wanted.reference)
