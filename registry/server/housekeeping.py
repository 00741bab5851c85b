"""What has to be done now and then while the registry serves: by a thread of whichever worker is first."""

import logging
import threading

from registry.oci.errors import Failure
from registry.storage.store import Store

_log = logging.getLogger(__name__)
_PAUSE = 60.0


def start_housekeeping(store: Store, upload_age: float) -> None:
    """Forget uploads that nobody goes on with, at once and every minute."""
    threading.Thread(target=_run, args=(store, upload_age), name="housekeeping", daemon=True).start()


def _run(store: Store, upload_age: float) -> None:
    pause = threading.Event()
    while True:
        try:
            with store.housekeeping() as mine:
                for upload in store.uploads.expire(upload_age) if mine else ():
                    _log.info("upload %s expired", upload)
        except Failure as error:
            _log.warning("housekeeping: %s", error)
        pause.wait(_PAUSE)
