"""Whether the disks have room for a bundle: known before anything is written."""

import os

from loader.source import Source
from loader.survey import Survey
from registry.storage.errors import StorageFull
from registry.storage.roots import free_bytes
from registry.storage.store import Store
from registry.units import human

_WAY_OUT = "free some space, add a disk with another --storage, or try all the same with --force"


def require_space(source: Source, store: Store, named: int, found: Survey | None, *, is_partial: bool) -> None:
    """Exactly where headers can be read, else by the size of the bundle: layers are compressed already.

    What an earlier load of this bundle brought needs no room again, be it `named` or left by a kill. Of a stream of
    which only a part is wanted nothing is known: it is tried.

    Raises:
        StorageFull: they have not.
    """
    roots = {os.stat(root.layout.root).st_dev: root for root in store.blobs.roots}.values()
    free = sum(free_bytes(root) for root in roots)
    if found is not None:
        _require(found.missing(store), free)
    elif source.size is not None and not is_partial:
        held = store.blobs.disk_bytes() - store.stored_bytes() + named
        if free + held < source.size:
            raise StorageFull(
                f"the bundle needs up to {human(source.size)}, {human(held)} of it are here, and the storage has "
                f"{human(free)} free: {_WAY_OUT}"
            )


def _require(need: int, free: int) -> None:
    if free < need:
        raise StorageFull(
            f"the bundle needs {human(need)} more than is here, and the storage has {human(free)} free: {_WAY_OUT}"
        )
