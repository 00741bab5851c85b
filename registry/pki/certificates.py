"""The registry's TLS as its workers see it: a context that is always the one of today."""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from registry.config import TlsSettings
from registry.oci.errors import Failure
from registry.pki.authority import OwnAuthority
from registry.pki.context import server_context
from registry.pki.provided import ProvidedFiles
from registry.pki.source import Source
from registry.storage.roots import index_layout

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    expires: datetime
    ca_pem: bytes | None
    ca_fingerprint: str | None


def utc_now() -> datetime:
    return datetime.now(UTC)


class Certificates:
    """Credentials that follow their files; broken new ones leave the old in use.

    May cross a fork: workers then share the keys of session tickets.
    """

    def __init__(self, source: Source, client_ca: Path | None = None, clock: Callable[[], datetime] = utc_now) -> None:
        """Make what is missing, and check everything.

        Raises:
            CertificateInvalid: the operator's files do not do.
            AuthorityUnusable: our own CA does not.
            StorageError: the disk refuses.
        """
        self._source = source
        self._client_ca = client_ca
        self._clock = clock
        self._lock = threading.Lock()
        self._said = ""
        source.establish(clock())
        self._stamp = self._look()
        self._current = self._load()
        self._look_again = time.monotonic() + _LOOK_SECONDS

    @classmethod
    def open(cls, tls: TlsSettings, storage: Sequence[Path]) -> Self | None:
        """As the settings say; None where there is to be no TLS.

        Raises:
            CertificateInvalid, AuthorityUnusable, StorageError: as above.
        """
        if tls.mode == "off":
            return None
        if tls.mode == "auto":
            return cls(OwnAuthority(index_layout(storage), frozenset(tls.sans)), tls.client_ca)
        assert tls.cert is not None
        assert tls.key is not None
        return cls(ProvidedFiles(tls.cert, tls.key), tls.client_ca)

    def context(self) -> ssl.SSLContext:
        """For a new connection; looks at the files at most once in two seconds, else costs nothing."""
        if time.monotonic() >= self._look_again:
            self._look_again = time.monotonic() + _LOOK_SECONDS
            if self._look() != self._stamp:
                self.reload()
        return self._current.context

    def reload(self) -> None:
        """Read the files again; what is broken is logged, and the old stays."""
        with self._lock:
            self._stamp = self._look()  # first: a change while they are read is seen the next time
            try:
                self._current = self._load()
            except Failure as error:
                _log.error("going on with the old certificate: %s", error)  # a sentence says it all

    def renew(self) -> None:
        """Replace what runs out; in one process only, the others see the new files. A failure is logged once."""
        said = ""
        try:
            self._source.renew(self._clock())
        except Failure as error:
            said = str(error)
        if said and said != self._said:
            _log.error("cannot renew the certificate: %s", said)
        self._said = said

    @property
    def expires(self) -> datetime:
        """When the certificate that is served ends."""
        return self._current.expires

    @property
    def ca_file(self) -> Path | None:
        """The CA that clients must be given, where it is ours."""
        return self._source.ca_file

    @property
    def ca_pem(self) -> bytes | None:
        """The CA, or None where the operator's file ends below it."""
        return self._current.ca_pem

    @property
    def ca_fingerprint(self) -> str | None:
        """SHA-256 of the CA, as `openssl x509 -fingerprint -sha256` prints it."""
        return self._current.ca_fingerprint

    def _load(self) -> _Loaded:
        found = self._source.credentials(self._clock())
        context = server_context(found.certificate, found.key, self._client_ca)
        if found.ca is None:
            return _Loaded(context, found.expires, None, None)
        fingerprint = found.ca.fingerprint(SHA256()).hex(":").upper()
        return _Loaded(context, found.expires, found.ca.public_bytes(Encoding.PEM), fingerprint)

    def _look(self) -> Stamp:
        files = self._source.files if self._client_ca is None else (*self._source.files, self._client_ca)
        return tuple(_stamp(path) for path in files)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
