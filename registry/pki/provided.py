"""The operator's own certificate and key: checked, served, and never written."""

import logging
import stat
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry.pki.errors import CertificateInvalid
from registry.pki.issue import is_issued_by, names_of
from registry.pki.source import Credentials

_log = logging.getLogger(__name__)
_WARNING = timedelta(days=30)


class ProvidedFiles:
    """A certificate, with the chain to its issuer behind it, and its key."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._warned: datetime | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self._certificate, self._key)

    @property
    def ca_file(self) -> None:
        return None

    def establish(self, now: datetime) -> None:
        """Nothing is made here; a key that anybody can read is told.

        Raises:
            CertificateInvalid: the files cannot be served with.
        """
        self.renew(now)
        if self._key.stat().st_mode & stat.S_IROTH:
            _log.warning("everybody on this machine can read the key %s: chmod 600 it", self._key)

    def renew(self, now: datetime) -> None:
        """Renewing is the operator's: warn once when it is time.

        Raises:
            CertificateInvalid: the files cannot be served with.
        """
        end = self.credentials(now).expires
        if end - now < _WARNING and self._warned != end:
            _log.warning("the certificate %s ends on %s: renew it", self._certificate, f"{end:%Y-%m-%d}")
            self._warned = end

    def credentials(self, now: datetime) -> Credentials:
        """What to serve with.

        Raises:
            CertificateInvalid: the files cannot be served with; says why.
        """
        chain = self._read_chain()
        self._check_key(chain)
        self._check_order(chain)
        self._check_purpose(chain[0], now)
        known = len(chain) > 1 or is_issued_by(chain[0], chain[0])
        return Credentials(self._certificate, self._key, chain[0].not_valid_after_utc, chain[-1] if known else None)

    def _read_chain(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(_read(self._certificate, "certificate"))
        except ValueError as error:
            raise CertificateInvalid(f"{self._certificate} is no certificate in PEM format: convert it") from error

    def _check_key(self, chain: list[x509.Certificate]) -> None:
        public = self._read_key().public_key()
        if chain[0].public_key() == public:
            return
        if any(each.public_key() == public for each in chain):
            raise CertificateInvalid(
                f"{self._certificate} is in the wrong order: put the server's certificate first, then its issuers"
            )
        raise CertificateInvalid(
            f"{self._key} is not the key of {self._certificate}: name a pair that belongs together"
        )

    def _read_key(self) -> PrivateKeyTypes:
        content = _read(self._key, "key")
        try:
            return load_pem_private_key(content, password=None)
        except TypeError as error:
            raise CertificateInvalid(f"{self._key} needs a passphrase: give the key without one") from error
        except ValueError as error:
            raise CertificateInvalid(f"{self._key} is no private key in PEM format: convert it") from error

    def _check_order(self, chain: list[x509.Certificate]) -> None:
        for below, above in pairwise(chain):
            if not is_issued_by(below, above):
                raise CertificateInvalid(
                    f"{self._certificate}: {_said(below)} is not issued by {_said(above)}, which follows it:"
                    " put each certificate before its issuer"
                )

    def _check_purpose(self, certificate: x509.Certificate, now: datetime) -> None:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now >= end:
            raise CertificateInvalid(f"{self._certificate} ended on {end:%Y-%m-%d}, the clock says {now:%Y-%m-%d}")
        if now < begin:
            raise CertificateInvalid(f"{self._certificate} begins on {begin:%Y-%m-%d}, the clock says {now:%Y-%m-%d}")
        if not names_of(certificate):
            raise CertificateInvalid(f"{self._certificate} names no host (subjectAltName), clients would refuse it")
        if not _is_for_servers(certificate):
            raise CertificateInvalid(f"{self._certificate} is not for servers (extendedKeyUsage): name another")


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateInvalid(f"cannot read the {what} {path}: {error.strerror}") from error


def _is_for_servers(certificate: x509.Certificate) -> bool:
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


def _said(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string() or "a certificate without a name")
