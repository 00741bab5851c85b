"""Loads of bundles, as the store sees them: one at a time, its files below `uploads/`, and how each one stands."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from registry.storage import keys
from registry.storage.blobs import BlobStore, StoredBlob
from registry.storage.errors import BlobGone, StorageBusy
from registry.storage.index import Change, Index, Snapshot
from registry.storage.layout import Layout
from registry.storage.locks import is_held, locked
from registry.storage.naming import name_blob
from registry.storage.uploads import LOAD_PREFIX

_TABLE = "loads"


def load_state(snapshot: Snapshot, bundle: str) -> dict[str, object] | None:
    """What the last load of this bundle said of itself."""
    row = snapshot.rows.get(_TABLE, keys.text_key(bundle))
    return None if row is None else orjson.loads(row)


def load_states(snapshot: Snapshot) -> Iterator[dict[str, object]]:
    """What the last load of each bundle said of itself, its `bundle` among it."""
    for _, row in snapshot.rows.scan(_TABLE):
        yield orjson.loads(row)


def has_completed_load(snapshot: Snapshot, bundle: str) -> bool:
    """Whether some load of this bundle loaded all of it, whatever became of later ones."""
    state = load_state(snapshot, bundle) or {}
    return state.get("state") == "loaded" or state.get("completed") is True


def put_load_state(change: Change, bundle: str, state: dict[str, object]) -> None:
    """Remember how the load of a bundle stands, and whether one ever came to its end."""
    shown = bundle.encode(errors="backslashreplace").decode()  # a path may have bytes that are no UTF-8
    completed = state.get("state") == "loaded" or has_completed_load(change, bundle)
    change.rows.put(_TABLE, keys.text_key(bundle), orjson.dumps(state | {"bundle": shown, "completed": completed}))


def load_phase(state: Mapping[str, object], layout: Layout) -> str:
    """`loading`, `loaded`, `failed`, `interrupted` or `refused`; what was killed could not say so itself: `killed`."""
    phase = str(state["state"])
    return "killed" if phase == "loading" and not is_held(layout.load_lock) else phase


class Loads:
    """What a load does with a store before its images have names."""

    def __init__(self, blobs: BlobStore, index: Index, layout: Layout) -> None:
        self._blobs = blobs
        self._index = index
        self._layout = layout

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only load into this store; what a killed one left is cleaned up first.

        Raises:
            StorageBusy: another load is running.
        """
        with locked(self._layout.load_lock) as alone:
            if not alone:
                raise StorageBusy("another load into this store is running: wait for it, or stop it")
            # Who removes blobs holds this for moments only, and leaves them alone while a load counts on them.
            with locked(self._layout.removal_lock, shared=True, wait=True, folder=True):
                self.remove_files()
                try:
                    yield
                finally:
                    self.remove_files()

    def files(self) -> list[Path]:
        """What loads have below `uploads/`."""
        return [path for root in self._blobs.roots for path in root.layout.uploads.glob(f"{LOAD_PREFIX}*")]

    def remove_files(self) -> None:
        """What a killed load left below `uploads/`; only for who knows that no load is running."""
        for path in self.files():
            path.unlink(missing_ok=True)

    def put_state(self, bundle: str, state: dict[str, object]) -> None:
        """Remember how the load of a bundle stands."""
        with self._index.change() as change:
            put_load_state(change, bundle, state)

    def keep_blobs(self, blobs: Sequence[StoredBlob], bundle: str, state: dict[str, object]) -> None:
        """Remember durable blobs that no image names yet, and how the load stands that brought them.

        No repository sees them; an image that is published later may leave them out.
        """
        with self._index.change() as change:
            for blob in blobs:
                with suppress(BlobGone):  # its image will say so, when it is to be named
                    name_blob(change, self._blobs, blob)
            put_load_state(change, bundle, state)
