"""What has to be done now and then while the registry serves: by a thread of whichever worker is first."""

import logging
import threading

from registry.oci.errors import Failure
from registry.pki.certificates import Certificates
from registry.storage.store import Store

_log = logging.getLogger(__name__)
_PAUSE = 60.0


def start_housekeeping(store: Store, upload_age: float, certificates: Certificates | None) -> None:
    """Forget uploads that nobody goes on with, and renew the certificate, at once and every minute."""
    arguments = (store, upload_age, certificates)
    threading.Thread(target=_run, args=arguments, name="housekeeping", daemon=True).start()


def keep_house(store: Store, upload_age: float, certificates: Certificates | None) -> None:
    """Once, unless another thread or process is at it.

    Raises:
        StorageError: a disk refuses. The certificate is renewed all the same.
    """
    with store.housekeeping() as mine:
        if not mine:
            return
        if certificates is not None:
            certificates.renew()  # first: it raises nothing, and must not wait for a disk that is mended one day
        for upload in store.uploads.expire(upload_age):
            _log.info("upload %s expired", upload)


def _run(store: Store, upload_age: float, certificates: Certificates | None) -> None:
    pause = threading.Event()
    while True:
        try:
            keep_house(store, upload_age, certificates)
        except (Failure, OSError) as error:  # of a disk that may be back in a minute
            _log.warning("housekeeping: %s", error)
        pause.wait(_PAUSE)
