"""Content addresses: `sha256:<64 hex>` and `sha512:<128 hex>` (image-spec, descriptor.md "Digests")."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from registry.oci.errors import DigestInvalid

HEX_LENGTH = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class Hash(Protocol):
    """What hashlib's objects have and this product uses."""

    def update(self, chunk: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content address that is well-formed and of a supported algorithm."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The only way from text; upper-case hex is refused, never normalised.

        Raises:
            DigestInvalid: the text is no digest, or its algorithm is not supported.
        """
        if not _DIGEST.fullmatch(text):
            raise DigestInvalid(f"{text[:160]!r} is not sha256:<64 hex> or sha512:<128 hex>")
        return cls(text[:6], text[7:])

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of `content`."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def hasher(self) -> Hash:
        """A fresh hash of this digest's algorithm."""
        return new_hash(self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def new_hash(algorithm: str) -> Hash:
    """A fresh hash of a supported algorithm."""
    # The module's own constructors: hashlib.new() looks the name up each time, 3 times as slow.
    return hashlib.sha256() if algorithm == "sha256" else hashlib.sha512()
