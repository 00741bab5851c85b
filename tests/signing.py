"""Keys and signatures by the real OpenSSL."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ALGORITHMS = {
    "p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "secp256k1": ("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
    "rsa": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "rsa1024": ("RSA", "-pkeyopt", "rsa_keygen_bits:1024"),
    "ed25519": ("ED25519",),
}


@dataclass(frozen=True)
class KeyPair:
    """A key in two PEM files."""

    private: Path
    public: Path

    def sign(self, file: Path, algorithm: str = "sha256", *options: str) -> bytes:
        """The raw signature of a file; without `algorithm` by the key's own way."""
        if algorithm:
            return openssl("dgst", f"-{algorithm}", "-sign", self.private, *options, file)
        return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", file)


def openssl(*arguments: str | Path) -> bytes:
    """What it prints."""
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True).stdout


def key_pair(folder: Path, kind: str = "p256", name: str = "cosign") -> KeyPair:
    """A new key."""
    pair = KeyPair(folder / f"{name}.key", folder / f"{name}.pub")
    openssl("genpkey", "-algorithm", *ALGORITHMS[kind], "-out", pair.private)
    openssl("pkey", "-in", pair.private, "-pubout", "-out", pair.public)
    return pair
