"""The signer's public key: PEM, from a file, or from a URL that the operator named."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from loader.errors import KeyUnusable
from registry.verification import is_url, shown_key

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_LIMIT = 64 * 1024
_RSA_BITS = 2048
_SECONDS = 20
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature is asked for; `origin` is where the key came from."""

    key: PublicKey
    origin: str

    @classmethod
    def load(cls, origin: str) -> "Signer":
        """The key in a file or behind an https URL; a certificate stands for the key in it.

        Raises:
            KeyUnusable: there is none.
        """
        body, shown = _fetch(origin) if is_url(origin) else _read(Path(origin)), shown_key(origin)
        return cls(_parse(body, shown), shown)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key in DER, as `openssl pkey -pubin -outform DER | sha256sum` tells it."""
        return hashlib.sha256(self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT + 1)
    except OSError as error:
        raise KeyUnusable(f"cannot read the public key {path}: {error.strerror}") from error


def _fetch(url: str) -> bytes:
    """With the certificates that SSL_CERT_FILE and SSL_CERT_DIR name, and the proxy of the environment."""
    import httpx  # noqa: PLC0415  # 50 ms that a key in a file does not need

    shown = shown_key(url)
    if not url.startswith("https://"):
        raise KeyUnusable(
            f"{shown}: a key is taken from a file or over https, where nobody can put another in its place"
        )
    try:
        with httpx.stream("GET", url, timeout=_SECONDS) as response:
            if response.status_code != httpx.codes.OK:
                raise KeyUnusable(f"{shown} answers {response.status_code}: name a file that holds the public key")
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _LIMIT:
                    break
            return body
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError, OSError) as error:
        raise KeyUnusable(
            f"cannot get the public key from {shown} ({error}): without a network, name a file that holds it"
        ) from error


def _parse(body: bytes, origin: str) -> PublicKey:
    if b"PRIVATE KEY-----" in body:
        raise KeyUnusable(f"{origin} is a private key: name the public one, and keep this one with the signer alone")
    if len(body) > _LIMIT:
        raise KeyUnusable(f"{origin} is too large for a public key")
    try:
        certified = b"-----BEGIN CERTIFICATE-----" in body
        key = _load_certified_key(body) if certified else load_pem_public_key(body)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{origin} is no public key in PEM ('-----BEGIN PUBLIC KEY-----')") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS:
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise KeyUnusable(
        f"{origin} is a key that is not used: ECDSA on P-256, P-384 or P-521, RSA from 2048 bits, Ed25519"
    )


def _load_certified_key(body: bytes) -> PublicKeyTypes:
    from cryptography import x509  # noqa: PLC0415  # 16 ms that a bare key does not need

    return x509.load_pem_x509_certificate(body).public_key()
