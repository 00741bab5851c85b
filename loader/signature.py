"""A signature of the bundle file, as `cosign sign-blob` or `openssl dgst -sign` makes them, and what it proves.

A signature is raw, base64, or in a JSON bundle of either of cosign's two forms. Without a transparency
log, as `cosign verify-blob --key K --private-infrastructure`.
"""

import base64
import binascii
import hashlib
import json
import mmap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from loader.errors import KeyUnusable, SignatureInvalid
from loader.hashing import SHA256
from loader.naming import STANDARD_INPUT, shown
from loader.pieces import find_pieces
from loader.signer import Signer
from registry.oci.descriptor import as_object
from registry.oci.errors import ManifestInvalid
from registry.verification import Evidence

_LIMIT = 1024 * 1024
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_BUNDLE_HASHES = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}
# cosign before 2.6 signs with SHA-256 whatever the key; since then with the hash that is as strong as the curve.
_CURVE_HASHES = {"secp384r1": "sha384", "secp521r1": "sha512"}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signer left; `algorithm` and `digest` are of the signed file, where the signature tells them."""

    body: bytes
    algorithm: str | None = None
    digest: bytes | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The signature in a file of any of its forms.

        Raises:
            SignatureInvalid: there is none in it.
        """
        try:
            with path.open("rb") as file:
                text = file.read(_LIMIT + 1)
        except OSError as error:
            raise SignatureInvalid(f"cannot read the signature {path}: {error.strerror}") from error
        if not text.strip() or len(text) > _LIMIT:
            raise SignatureInvalid(f"{path} holds no signature: it is {'too large' if text.strip() else 'empty'}")
        try:
            is_document = text.isascii() and text.lstrip().startswith(b"{")
            return cls._from_json(json.loads(text)) if is_document else cls(_decode(text))
        except (ValueError, RecursionError, ManifestInvalid) as error:
            raise SignatureInvalid(f"{path} holds no signature of a file that cosign would know") from error

    @classmethod
    def _from_json(cls, document: object) -> Self:
        """protobuf-specs sigstore_bundle.proto, messageSignature; or what cosign 2 wrote with `--bundle`."""
        fields = as_object(document, "signature")
        if "base64Signature" in fields:
            return cls(_base64(fields["base64Signature"]))
        signed = as_object(fields.get("messageSignature"), "messageSignature")
        if "messageDigest" not in signed:
            return cls(_base64(signed.get("signature")))
        digest = as_object(signed["messageDigest"], "messageDigest")
        algorithm = _BUNDLE_HASHES.get(str(digest.get("algorithm")))
        if algorithm is None:
            raise ValueError(digest)
        return cls(_base64(signed.get("signature")), algorithm, _base64(digest.get("digest")))


@dataclass(frozen=True, slots=True)
class Proof:
    """That a signature holds: SHA-256 of the signed file, of the signature, and of the signer's public key."""

    file: str
    signature: str
    signer: str

    def is_by(self, other: Self) -> bool:
        """Whether it is by the same signature and key, of whatever file."""
        return (self.signature, self.signer) == (other.signature, other.signer)


@dataclass(frozen=True, slots=True)
class Check:
    """One bundle, its signature, and the signer whose it has to be."""

    bundle: Path
    evidence: Evidence
    signature: Signature
    signer: Signer

    @classmethod
    def open(cls, bundle: Path, evidence: Evidence) -> Self:
        """Read what the check needs, the bundle apart.

        Raises:
            KeyUnusable, SignatureInvalid: that cannot be a key, or a signature.
        """
        signer = Signer.load(evidence.key)
        if isinstance(signer.key, ed25519.Ed25519PublicKey) and (bundle == STANDARD_INPUT or find_pieces(bundle)):
            raise KeyUnusable(
                f"{signer.origin} is an Ed25519 key, which signs a file as one and not its digest: join the pieces of "
                "the bundle, or save what comes from a pipe, into one file; or have it signed with ECDSA"
            )
        return cls(bundle, evidence, Signature.read(evidence.signature), signer)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The digests of the bundle file that are needed; SHA-256 is always among them."""
        return tuple(dict.fromkeys((SHA256, *self._candidates)))

    @property
    def claim(self) -> Proof:
        """What is to be proven; of the file nothing is known before it was read."""
        return Proof("", hashlib.sha256(self.signature.body).hexdigest(), self.signer.fingerprint)

    def require(self, digests: Mapping[str, bytes]) -> Proof:
        """That the signer signed the file with these digests.

        Raises:
            SignatureInvalid: he did not.
        """
        signed = self.signature.algorithm
        if signed is not None and digests[signed] != self.signature.digest:
            raise self._refusal(digests, "is of another file")
        if not self._holds(digests):
            raise self._refusal(digests, f"does not fit this file and this key{self._hint}")
        return replace(self.claim, file=digests[SHA256].hex())

    @property
    def _candidates(self) -> tuple[str, ...]:
        """Which hash the signature may be over: any of them is one that the key's owner would have signed."""
        if self.signature.algorithm is not None:
            return (self.signature.algorithm,)
        key = self.signer.key
        strong = _CURVE_HASHES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None
        return (SHA256,) if strong is None else (SHA256, strong)

    def _holds(self, digests: Mapping[str, bytes]) -> bool:
        key = self.signer.key
        if isinstance(key, ed25519.Ed25519PublicKey):
            return _signed_by_ed25519(key, self.signature.body, self.bundle)
        return any(_signed(key, self.signature.body, digests[name], _HASHES[name]) for name in self._candidates)

    @property
    def _hint(self) -> str:
        if not isinstance(self.signer.key, ed25519.Ed25519PublicKey):
            return ""
        return " (Ed25519ph, which cosign uses for its transparency log, is not known here: sign without the log)"

    def _refusal(self, digests: Mapping[str, bytes], what: str) -> SignatureInvalid:
        return SignatureInvalid(
            f"the signature {self.evidence.signature} {what}, and nothing of {shown(self.bundle)} is served: "
            f"its SHA-256 is {digests[SHA256].hex()}, the key {self.signer.origin} has SHA-256 "
            f"{self.signer.fingerprint}; copy bundle and signature anew, and make sure of the key"
        )


def _signed(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm
) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return _signed_by_rsa(key, signature, digest, algorithm)
    with suppress(InvalidSignature):
        key.verify(signature, digest, ec.ECDSA(utils.Prehashed(algorithm)))
        return True
    return False


def _signed_by_rsa(key: rsa.RSAPublicKey, signature: bytes, digest: bytes, algorithm: hashes.HashAlgorithm) -> bool:
    """By PKCS #1 v1.5, as cosign does with a key in a file, or by PSS, as do key services that it calls."""
    pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
    for scheme in (padding.PKCS1v15(), pss):
        with suppress(InvalidSignature):
            key.verify(signature, digest, scheme, utils.Prehashed(algorithm))
            return True
    return False


def _signed_by_ed25519(key: ed25519.Ed25519PublicKey, signature: bytes, bundle: Path) -> bool:
    """Pure Ed25519 has no digest that could be taken on the way: the file is mapped, and read once more.

    So it proves what a medium shows the second time; one that lies may have shown something else to the load.
    """
    with (
        suppress(InvalidSignature, ValueError),  # an empty file cannot be mapped
        bundle.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        key.verify(signature, content)
        return True
    return False


def _decode(text: bytes) -> bytes:
    """Base64 with or without line breaks, or what is there."""
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return text


def _base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError(text)  # noqa: TRY004  # bad input, whatever it is
    return base64.b64decode(text, validate=True)
