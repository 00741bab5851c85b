"""The registry's own CA, and the certificate that it signs for this machine: files below ROOT/pki."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from registry.pki.errors import AuthorityUnusable
from registry.pki.issue import Authority, SigningKey, issue, key_pem, make_authority, new_key, reason_to_renew
from registry.pki.names import SubjectName, machine_names
from registry.pki.source import Credentials
from registry.storage.errors import StorageReadOnly, disk_errors
from registry.storage.layout import Layout
from registry.storage.roots import sync_directory

_log = logging.getLogger(__name__)
_THIS_RELEASE = datetime(2026, 1, 1, tzinfo=UTC)


class OwnAuthority:
    """Made once and kept for ever; several processes may come at the same time.

    Once made, its key is needed only to renew the server's certificate.
    """

    def __init__(
        self,
        layout: Layout,
        more_names: AbstractSet[SubjectName] = frozenset(),
        machine: Callable[[], AbstractSet[SubjectName]] = machine_names,
    ) -> None:
        self._layout = layout
        self._more_names = more_names
        self._machine = machine

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._layout.server_certificate, self._layout.ca_certificate)

    @property
    def ca_file(self) -> Path:
        return self._layout.ca_certificate

    def establish(self, now: datetime) -> None:
        """Make the CA where there is none, then what it signs.

        Raises:
            AuthorityUnusable: it is damaged, or cannot sign while there is no certificate that still serves.
            StorageError: the disk refuses.
        """
        with disk_errors(self._layout.pki):
            self._layout.pki.mkdir(mode=0o755, exist_ok=True)
        with self._alone():
            if not self._layout.ca_certificate.exists():
                self._make()
        try:
            self.renew(now)
        except (AuthorityUnusable, StorageReadOnly) as error:
            if not self._is_serving(now):
                raise
            _log.error("going on with the old certificate: %s", error)

    def renew(self, now: datetime) -> None:
        """Sign a new server certificate if the present one runs out, or names of the machine are missing in it.

        Raises:
            AuthorityUnusable: one is due, and cannot be signed.
            StorageError: the disk refuses.
        """
        names = self._machine() | self._more_names
        with self._alone():
            issuer, current = self._issuer(), self._current()
            reason = "there is none" if current is None else reason_to_renew(current, issuer, names, now)
            if reason is None:
                return
            _write(self._layout.server_certificate, self._issue(issuer, names, now), 0o600)
        _log.info("new server certificate: %s", reason)

    def credentials(self, now: datetime) -> Credentials:
        """What to serve with.

        Raises:
            AuthorityUnusable: a file is missing or damaged.
        """
        current = self._current()
        if current is None:
            raise AuthorityUnusable(f"{self._layout.server_certificate} is missing or damaged: restart the registry")
        path = self._layout.server_certificate
        return Credentials(path, path, current.not_valid_after_utc, self._issuer())

    def _make(self) -> None:
        """The key first: while the certificate is missing, it is made from the key that is there."""
        path = self._layout.ca_key
        key = self._key() if path.exists() else new_key()
        _write(path, key_pem(key), 0o600)
        authority = make_authority(key)
        _write(self._layout.ca_certificate, authority.certificate.public_bytes(Encoding.PEM), 0o644)
        _log.info("new CA in %s", self._layout.ca_certificate)

    def _issue(self, issuer: x509.Certificate, names: AbstractSet[SubjectName], now: datetime) -> bytes:
        key = self._key()
        if key.public_key() != issuer.public_key():
            raise AuthorityUnusable(f"{self._layout.ca_key} is not the key of {self.ca_file}: restore both")
        if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
            raise AuthorityUnusable(f"{self.ca_file} is not valid at {now:%Y-%m-%d}: replace it, or set the clock")
        if now < _THIS_RELEASE:
            _log.warning("the clock says %s, clients with other clocks will refuse the certificate", f"{now:%Y-%m-%d}")
        return issue(Authority(issuer, key), names, now)

    def _issuer(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        except (OSError, ValueError) as error:
            raise AuthorityUnusable(
                f"{self.ca_file} is missing or damaged: restore it, or make it anew from its key by removing it"
                " and starting the registry"
            ) from error

    def _key(self) -> SigningKey:
        try:
            key = load_pem_private_key(self._layout.ca_key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityUnusable(f"{self._layout.ca_key} is missing or damaged: restore it") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise AuthorityUnusable(f"{self._layout.ca_key} is neither an EC nor an RSA key: use one of these")
        return key

    def _current(self) -> x509.Certificate | None:
        """The server's certificate, if there is one that can be read."""
        try:
            content = self._layout.server_certificate.read_bytes()
            load_pem_private_key(content, password=None)
            return x509.load_pem_x509_certificate(content)
        except (OSError, ValueError, TypeError):
            return None

    def _is_serving(self, now: datetime) -> bool:
        current = self._current()
        return current is not None and current.not_valid_before_utc <= now < current.not_valid_after_utc

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process or thread is at the files."""
        with disk_errors(self._layout.pki):
            descriptor = os.open(self._layout.pki, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write(path: Path, content: bytes, mode: int) -> None:
    """The whole file or nothing, durable; only ever under the lock."""
    partial = path.with_name(f".{path.name}.partial")
    with disk_errors(path):
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.rename(path)
        sync_directory(path.parent)
