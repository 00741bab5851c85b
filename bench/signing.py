"""Sign a bundle as its vendor does: `cosign sign-blob` with an ECDSA key."""

import base64
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from bench.errors import BenchFailed


def sign(bundle: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """Write `BUNDLE.sig` beside the bundle file."""
    with bundle.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    signature = bundle.with_name(f"{bundle.name}.sig")
    signature.write_bytes(base64.b64encode(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))))
    return signature


def sign_with_a_fresh_key(bundle: Path, public: Path) -> None:
    """Sign with a key that is forgotten; its public part goes to `public`."""
    key = ec.generate_private_key(ec.SECP256R1())
    sign(bundle, key)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a PEM file without a passphrase.

    Raises:
        BenchFailed: there is none.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, TypeError, ValueError) as error:
        raise BenchFailed(f"{path}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BenchFailed(f"{path} is no ECDSA key")
    return key
