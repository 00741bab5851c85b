"""What loads remember of bundles: a head, and the members one by one; in pages, for a bundle may have any number."""

import itertools
import time
from collections.abc import Iterator, Mapping

import orjson

from registry.storage import keys
from registry.storage.index import Index, Snapshot

KEPT = 16
_TABLE = "journals"
_HEAD = 0
_PAGE = 256
# A transaction of the index has room for more, see `environment.py`.
_PAGE_BYTES = 16 << 20


class Journals:
    """The journals of a store, of which the newest few are kept; the bundle that each is about is known by a text."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def head(self, bundle: str) -> dict[str, object] | None:
        """What was written last; None where there is no journal."""
        with self._index.snapshot() as snapshot:
            row = snapshot.rows.get(_TABLE, keys.journal_key(bundle, _HEAD))
        return None if row is None else orjson.loads(row)

    def entries(self, bundle: str, count: int) -> Iterator[bytes]:
        """The first `count` of them, in order; whoever reads them may change the index meanwhile."""
        number = 0
        while number < count:
            page = self._page(bundle, number, min(count - number, _PAGE))
            if not page:
                return
            yield from page
            number += len(page)

    def write(self, bundle: str, head: Mapping[str, object] | None, entries: Mapping[int, bytes]) -> None:
        """Entries, counted from 1, and the head, if one is given, in one transaction.

        Raises:
            StorageFull: the disk is; nothing has changed.
        """
        with self._index.change() as change:
            for number, entry in entries.items():
                change.rows.put(_TABLE, keys.journal_key(bundle, number), entry)
            if head is not None:
                row = orjson.dumps({**head, "written": time.time()})
                change.rows.put(_TABLE, keys.journal_key(bundle, _HEAD), row)

    def begin(self, bundle: str) -> None:
        """Forget what was, and the oldest journals where there are too many."""
        self.forget(bundle)
        with self._index.snapshot() as snapshot:
            written = sorted((orjson.loads(row)["written"], prefix) for prefix, row in _heads(snapshot))
        for _, prefix in written[: max(0, len(written) + 1 - KEPT)]:
            self._forget(prefix)
        self.write(bundle, {}, {})

    def forget(self, bundle: str) -> None:
        """All of a journal."""
        self._forget(keys.text_key(bundle))

    def _forget(self, prefix: bytes) -> None:
        while True:
            with self._index.change() as change:
                found = [key for key, _ in itertools.islice(change.rows.scan(_TABLE, prefix), _PAGE)]
                for key in found:
                    change.rows.delete(_TABLE, key)
            if len(found) < _PAGE:
                return

    def _page(self, bundle: str, behind: int, count: int) -> list[bytes]:
        page: list[bytes] = []
        size = 0
        with self._index.snapshot() as snapshot:
            for _, row in snapshot.rows.scan(_TABLE, keys.text_key(bundle), keys.journal_key(bundle, behind)):
                page.append(row)
                size += len(row)
                if len(page) == count or size > _PAGE_BYTES:
                    break
        return page


def _heads(snapshot: Snapshot) -> Iterator[tuple[bytes, bytes]]:
    """Every journal's prefix and head; the entries between are not touched."""
    after = b""
    while (found := next(snapshot.rows.scan(_TABLE, after=after), None)) is not None:
        prefix = keys.journal_prefix(found[0])
        yield prefix, found[1]
        after = prefix + keys.LAST_NUMBER
