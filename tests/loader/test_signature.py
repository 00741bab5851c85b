"""What OpenSSL and cosign sign is believed, and nothing else is."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

from loader.errors import KeyUnusable, SignatureInvalid, Untrusted
from loader.signature import Check
from registry.verification import Evidence
from tests.signing import KeyPair, key_pair, openssl


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.tar"
    path.write_bytes(b"content" * 1000)
    return path


def check(file: Path, key: Path | str, signature: bytes) -> None:
    path = file.with_name("signature")
    path.write_bytes(signature)
    made = Check.open(file, Evidence(str(key), path))
    made.require({name: hashlib.new(name, file.read_bytes()).digest() for name in made.algorithms})


def assert_only_this_file(file: Path, pair: KeyPair, signature: bytes) -> None:
    check(file, pair.public, signature)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(SignatureInvalid, match=r"nothing of .* is served: its SHA-256 is"):
        check(file, pair.public, signature)


@pytest.mark.parametrize(
    ("kind", "algorithm", "options"),
    [
        ("p256", "sha256", ()),
        ("p384", "sha256", ()),
        ("p384", "sha384", ()),
        ("p521", "sha256", ()),
        ("p521", "sha512", ()),
        ("rsa", "sha256", ()),
        ("rsa", "sha256", ("-sigopt", "rsa_padding_mode:pss")),
        ("ed25519", "", ()),
    ],
)
def test_what_openssl_signs_holds_for_that_file_alone(
    tmp_path: Path, file: Path, kind: str, algorithm: str, options: tuple[str, ...]
) -> None:
    pair = key_pair(tmp_path, kind)
    assert_only_this_file(file, pair, base64.b64encode(pair.sign(file, algorithm, *options)))


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
def test_another_key_of_the_same_kind_is_refused(tmp_path: Path, file: Path, kind: str) -> None:
    algorithm = "" if kind == "ed25519" else "sha256"
    signature = key_pair(tmp_path, kind).sign(file, algorithm)
    with pytest.raises(SignatureInvalid, match="does not fit"):
        check(file, key_pair(tmp_path, kind, "other").public, signature)


def test_a_weaker_hash_than_sha256_is_refused(tmp_path: Path, file: Path) -> None:
    pair = key_pair(tmp_path)
    with pytest.raises(SignatureInvalid):
        check(file, pair.public, pair.sign(file, "sha1"))


def sigstore(signature: bytes, digest: bytes, algorithm: str = "SHA2_256") -> bytes:
    """As cosign 3 writes it."""
    return json.dumps(
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []},
            "messageSignature": {
                "messageDigest": {"algorithm": algorithm, "digest": base64.b64encode(digest).decode()},
                "signature": base64.b64encode(signature).decode(),
            },
        }
    ).encode()


@pytest.mark.parametrize("form", ["raw", "base64", "line", "wrapped", "cosign 2", "cosign 3"])
def test_every_form_of_a_signature_is_read(tmp_path: Path, file: Path, form: str) -> None:
    pair = key_pair(tmp_path, "rsa")  # long enough to be wrapped
    raw = pair.sign(file)
    forms = {
        "raw": raw,
        "base64": base64.b64encode(raw),
        "line": base64.b64encode(raw) + b"\n",
        "wrapped": base64.encodebytes(raw).replace(b"\n", b"\r\n"),
        "cosign 2": json.dumps({"base64Signature": base64.b64encode(raw).decode(), "cert": ""}).encode(),
        "cosign 3": sigstore(raw, hashlib.sha256(file.read_bytes()).digest()),
    }
    assert_only_this_file(file, pair, forms[form])


def test_a_sigstore_bundle_tells_which_hash_was_signed(tmp_path: Path, file: Path) -> None:
    pair = key_pair(tmp_path, "p384")
    digest = hashlib.sha384(file.read_bytes()).digest()
    check(file, pair.public, sigstore(pair.sign(file, "sha384"), digest, "SHA2_384"))
    with pytest.raises(SignatureInvalid, match="does not fit"):
        check(file, pair.public, sigstore(pair.sign(file, "sha256"), digest, "SHA2_384"))


def test_a_sigstore_bundle_of_another_file_is_told(tmp_path: Path, file: Path) -> None:
    pair = key_pair(tmp_path)
    with pytest.raises(SignatureInvalid, match="is of another file"):
        check(file, pair.public, sigstore(pair.sign(file), bytes(32)))


def test_the_digest_in_a_sigstore_bundle_proves_nothing_by_itself(tmp_path: Path, file: Path) -> None:
    pair = key_pair(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(b"x")
    with pytest.raises(SignatureInvalid, match="does not fit"):
        check(file, pair.public, sigstore(pair.sign(other), hashlib.sha256(file.read_bytes()).digest()))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"garbage",
        b"{",
        b"{}",
        b'{"messageSignature": {}}',
        b'{"messageSignature": {"signature": "?"}}',
        b'{"messageSignature": {"signature": "AA==", "messageDigest": {"algorithm": "MD5"}}}',
        b'{"dsseEnvelope": {}}',
        b'{"base64Signature": 5}',
        b"[" * 100_000,
        b"AAAA" * 1_000_000,
        bytes(72),
        b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n",
    ],
)
def test_what_is_no_signature_is_refused(tmp_path: Path, file: Path, text: bytes) -> None:
    for kind in ("p256", "rsa", "ed25519"):
        with pytest.raises(SignatureInvalid, match="signature"):
            check(file, key_pair(tmp_path, kind).public, text)


def test_a_certificate_stands_for_its_key(tmp_path: Path, file: Path) -> None:
    pair = key_pair(tmp_path)
    certificate = tmp_path / "cert.pem"
    openssl("req", "-x509", "-key", pair.private, "-subj", "/CN=signer", "-out", certificate)
    check(file, certificate, pair.sign(file))


def test_the_fingerprint_is_what_openssl_tells(tmp_path: Path, file: Path) -> None:
    pair = key_pair(tmp_path)
    told = openssl("dgst", "-sha256", "-r", der(pair)).split()[0].decode()
    signature = file.with_name("signature")
    signature.write_bytes(pair.sign(file))
    assert Check.open(file, Evidence(str(pair.public), signature)).signer.fingerprint == told


def der(pair: KeyPair) -> Path:
    path = pair.public.with_suffix(".der")
    openssl("pkey", "-pubin", "-in", pair.public, "-outform", "DER", "-out", path)
    return path


@pytest.mark.parametrize(("kind", "said"), [("secp256k1", "key that is not used"), ("rsa1024", "key that is not used")])
def test_a_weak_or_strange_key_is_refused(tmp_path: Path, file: Path, kind: str, said: str) -> None:
    with pytest.raises(KeyUnusable, match=said):
        check(file, key_pair(tmp_path, kind).public, b"AAAA")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no public key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no public key in PEM"),
        (b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "is a private key"),
        (b"x" * 1_000_000, "too large"),
    ],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, file: Path, body: bytes, said: str) -> None:
    key = tmp_path / "key"
    key.write_bytes(body)
    with pytest.raises(KeyUnusable, match=said):
        check(file, key, b"AAAA")


@pytest.mark.parametrize("kind", ["p256", "rsa", "ed25519"])
def test_a_private_key_is_told_and_not_used(tmp_path: Path, file: Path, kind: str) -> None:
    with pytest.raises(KeyUnusable, match="is a private key: name the public one"):
        check(file, key_pair(tmp_path, kind).private, b"AAAA")


@pytest.mark.parametrize(
    "origin",
    ["/nowhere/cosign.pub", "http://127.0.0.1:1/k", "file:///etc/passwd", "gcpkms://x", "https://127.0.0.1:1/\udcff"],
)
def test_a_key_comes_from_a_file_or_over_https(file: Path, origin: str) -> None:
    with pytest.raises(Untrusted, match="key"):
        check(file, origin, b"AAAA")
