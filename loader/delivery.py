"""Blobs on their way into a registry, each once: what a repository there has is passed over, or mounted from it."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from loader.spool import Bytes
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.transfer.copying import CheckedBlob
from registry.transfer.patience import Endurance
from registry.transfer.remote import RegistryTarget


@dataclass(frozen=True, slots=True)
class _Sent:
    """A blob that a repository has, or will have when `done` is."""

    repository: RepositoryName
    done: Future[None]

    def arrives(self) -> bool:
        """Whether it does; waits for it."""
        return not self.done.cancelled() and self.done.exception() is None


class Delivery:
    """What was sent by one push; safe for threads."""

    def __init__(self, target: RegistryTarget, endurance: Endurance, pool: ThreadPoolExecutor) -> None:
        self._target = target
        self._endurance = endurance
        self._pool = pool
        self._sent: dict[Digest, _Sent] = {}
        self._lock = threading.Lock()
        self.size = 0
        """Bytes that were sent."""

    def is_there(self, name: RepositoryName, blob: Descriptor) -> bool:
        """Whether the repository has the blob, or has it now from another one of this push.

        Raises:
            TransferError: the registry does not tell.
        """
        with self._lock:
            known = self._sent.get(blob.digest)
        return self._is_there(name, blob, known)

    def send(self, name: RepositoryName, blob: Descriptor, content: Bytes) -> Future[None]:
        """Bring a blob, if it is not there; `content` is closed when it is, or will never be."""
        with self._lock:  # who waits for another blob was handed to the pool behind it
            known = self._sent.get(blob.digest)
            done = self._pool.submit(self._bring, name, blob, content, known)
            self._sent[blob.digest] = _Sent(name, done)
        return done

    def _bring(self, name: RepositoryName, blob: Descriptor, content: Bytes, known: _Sent | None) -> None:
        try:
            self._endurance.check()
            if self._is_there(name, blob, known):
                return
            checked = CheckedBlob(content, name, blob, self._endurance)
            self._target.put_blob(name, blob, checked.read, None)
            with self._lock:
                self.size += blob.size
        finally:
            content.close()

    def _is_there(self, name: RepositoryName, blob: Descriptor, known: _Sent | None) -> bool:
        arrives = known is not None and known.arrives()
        if self._target.has_blob(name, blob):
            return True
        return arrives and known is not None and self._mount(name, blob, known.repository)

    def _mount(self, name: RepositoryName, blob: Descriptor, source: RepositoryName) -> bool:
        """The blob is one that we have checked: its size is known to be right."""
        return name != source and self._target.mount_blob(name, blob, source)
