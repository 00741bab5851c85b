"""Collects what was asked for in vain, and writes it to the ledger behind the answers' back."""

import atexit
import logging
import threading
import time

from registry.oci.errors import Failure
from registry.storage.ledger import Ledger
from registry.storage.misses import Miss, Wanted, keep_fairly

_log = logging.getLogger(__name__)

PAUSE = 2.0
# What waits to be written, at most: then half of it goes, fairly among clients.
_WAITING = 4_000
_CLIENT_WAITING = 500


class Missing:
    """The misses of this process since the last write. A process that is killed takes them with it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[Wanted, Miss] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._writer: threading.Thread | None = None
        self._failing = False

    def note(self, wanted: Wanted, client: str) -> None:
        """Count one miss: no disk is touched."""
        now = time.time()
        with self._lock:
            self._collect(Miss(wanted, 1, now, now, client))
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="missing", daemon=True)
                self._writer.start()
                atexit.register(self.flush)

    def flush(self) -> None:
        """Write what waits; where that fails it waits on, and the log says so once."""
        with self._writing:
            with self._lock:
                misses, self._waiting = self._waiting, {}
            try:
                if misses:
                    self._ledger.add(misses.values())
                self._failing = False
            except Failure as error:
                self._take_back(misses)
                if not self._failing:
                    _log.warning("missing images cannot be written down: %s", error)
                self._failing = True

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(PAUSE):
            self.flush()

    def _take_back(self, misses: dict[Wanted, Miss]) -> None:
        with self._lock:
            for miss in misses.values():
                self._collect(miss)

    def _collect(self, miss: Miss) -> None:
        known = self._waiting.get(miss.wanted)
        self._waiting[miss.wanted] = miss if known is None else known + miss
        if len(self._waiting) > _WAITING:
            kept = keep_fairly(self._waiting.values(), _WAITING // 2, _CLIENT_WAITING)
            self._waiting = {each.wanted: each for each in kept}
