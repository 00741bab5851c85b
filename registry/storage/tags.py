"""Tags taken away by pattern; what they named stays until gc finds that nobody needs it."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from registry.oci.reference import Reference
from registry.storage.history import UNTOLD, Cause
from registry.storage.reserve import spending
from registry.storage.store import Store

_ROWS = 100


def find_tags(store: Store, globs: Sequence[str]) -> list[Reference]:
    """Those that match one of the globs, as `repository:tag`, in order."""
    with store.snapshot() as snapshot:
        references = [Reference(name, tag) for name in snapshot.repositories() for tag, _ in snapshot.tags(name)]
    return [each for each in references if any(fnmatchcase(str(each), glob) for glob in globs)]


def remove_tags(store: Store, references: Sequence[Reference], cause: Cause = UNTOLD) -> Iterator[Reference]:
    """Each as soon as it is gone; one that is gone already is passed over."""
    with spending(store.layout.reserve):
        for first in range(0, len(references), _ROWS):
            batch = references[first : first + _ROWS]
            with store.index.change(cause) as change:
                gone = [each for each in batch if change.delete_tag(each.repository, each.tag)]
            yield from gone
