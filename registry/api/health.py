"""Whether the process lives, and whether it has what it was started for."""

import falcon

from registry.storage.loads import has_completed_load, load_phase, load_state
from registry.storage.store import Store

# The log has the names and reasons, which are not for everybody.
_LACKING = {
    "failed": "not all of it could be loaded; the log names what is missing, and 'k0rdentd load' goes on with it",
    "interrupted": "its load was interrupted; the log says why, and 'k0rdentd load' goes on with it",
    "killed": "its load was killed; 'k0rdentd load' goes on with it",
    "refused": "nothing of it is served, for its signature was refused",
}


class Live:
    """`/healthz`: the worker answers."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = falcon.MEDIA_TEXT
        resp.data = b"ok\n"

    on_head = on_get


class Ready:
    """`/readyz`: the index is open, and the bundle given at start is loaded.

    A bundle that was loaded and is refused now, for its file or key changed, has brought all that it may bring.
    """

    def __init__(self, store: Store, bundle: str | None) -> None:
        self._store = store
        self._bundle = bundle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        missing = self._missing()
        resp.content_type = falcon.MEDIA_TEXT
        resp.status = falcon.HTTP_503 if missing else falcon.HTTP_200
        resp.text = f"{missing}\n" if missing else "ready\n"

    on_head = on_get

    def _missing(self) -> str | None:
        if self._bundle is None:
            return None
        with self._store.snapshot() as snapshot:
            state = load_state(snapshot, self._bundle)
            was_loaded = has_completed_load(snapshot, self._bundle)
        if state is None:
            return f"{self._bundle} is not loaded yet"
        phase = load_phase(state, self._store.layout)
        if phase == "loaded" or (phase == "refused" and was_loaded):
            return None
        return f"{self._bundle}: {_LACKING.get(phase, phase)}"
