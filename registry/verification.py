"""Whether a bundle's signature is checked, and with what: known before anything is read or started."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from registry.oci.errors import Failure

# Told, never fetched unasked.
VENDOR_KEY = "https://get.mirantis.com/k0rdent-enterprise/cosign.pub"

_SUFFIXES = (".sig", ".sigstore.json")
# A bundle in pieces is signed as one.
_PIECE = re.compile(r"(.+\.(?:tar\.gz|tgz|tar\.zst|tar))[.-](?:part[._-]?)?(?!gz$|zst$)(?:\d{1,5}|[a-z]{2,5})")
_USER = re.compile(r"(?<=:)//[^/?#]*@")
_KEY_LIMIT = 64 * 1024
_WAIVE = "load it unverified with --no-verify"


class EvidenceMissing(Failure):
    """A bundle's signature is to be checked, and there is no signature or no key."""

    exit_code: ClassVar[int] = 2

    @property
    def lack(self) -> str:
        """The same, without the way out that only who loads the bundle has."""
        return str(self).removesuffix(f", or {_WAIVE}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is to prove that a bundle is its vendor's: a key, as a path or URL, and a signature's file."""

    key: str
    signature: Path

    @property
    def shown_key(self) -> str:
        """The key's place, for everybody to read."""
        return shown_key(self.key)

    def require(self) -> None:
        """Know of a mistyped name before anything is read or started.

        Raises:
            EvidenceMissing: one of the files cannot be read, or the key's holds none.
        """
        _read("signature", self.signature)
        if not is_url(self.key) and b"-----BEGIN " not in _read("public key", Path(self.key)):
            raise EvidenceMissing(f"{self.key} is no public key in PEM ('-----BEGIN PUBLIC KEY-----')")


@dataclass(frozen=True, slots=True)
class Verification:
    """What an operator says of a bundle's signature; `wanted` is None where he leaves it to what there is."""

    wanted: bool | None = None
    key: str | None = None
    signature: Path | None = None

    def evidence(self, bundle: Path) -> Evidence | None:
        """What to check `bundle` with; None where nothing is to be checked, which only `--no-verify` can mean.

        Raises:
            EvidenceMissing: the key, the signature or both are missing.
        """
        if self.wanted is False:
            return None
        if bundle.is_dir():
            raise EvidenceMissing(f"{bundle} is a directory, and only a bundle file is signed: load that, or {_WAIVE}")
        signature = self.signature or _beside(bundle)
        shown, place = str(bundle), f"put {_names(bundle)[-1]}.sig beside it or name it with --cosign-signature"
        if shown == "-":
            shown, place = "standard input", "name its file with --cosign-signature"
        if signature is None and self.key is None:
            raise EvidenceMissing(
                f"nothing proves where {shown} comes from: {place} "
                f"and name the vendor's public key with --cosign-key ({VENDOR_KEY}), or {_WAIVE}"
            )
        if self.key is None:
            raise EvidenceMissing(
                f"{signature} cannot be checked without the signer's public key: name its file with --cosign-key "
                f"(the vendor has it at {VENDOR_KEY}), or {_WAIVE}"
            )
        if signature is None:
            raise EvidenceMissing(f"there is no signature of {shown} for --cosign-key: {place}, or {_WAIVE}")
        return Evidence(self.key, signature)

    def absolute(self) -> Self:
        """The same, wherever a process stands that it is given to."""
        key = self.key if self.key is None or is_url(self.key) else str(Path(self.key).absolute())
        return replace(self, key=key, signature=self.signature and self.signature.absolute())

    def arguments(self) -> list[str]:
        """The same, for the command line of `k0rdentd load`."""
        arguments = [] if self.wanted is None else ["--verify" if self.wanted else "--no-verify"]
        if self.key is not None:
            arguments += ["--cosign-key", self.key]
        if self.signature is not None:
            arguments += ["--cosign-signature", str(self.signature)]
        return arguments


def is_url(key: str) -> bool:
    """Whether a key lies elsewhere than in a file."""
    return "://" in key


def shown_key(key: str) -> str:
    """Where a key is, without the user and password that a URL may name."""
    return _USER.sub("//", key) if is_url(key) else key


def _read(what: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_LIMIT)
    except OSError as error:
        raise EvidenceMissing(f"cannot read the {what} {path}: {error.strerror}: name another file") from error


def _beside(bundle: Path) -> Path | None:
    candidates = (bundle.with_name(name + suffix) for name in _names(bundle) for suffix in _SUFFIXES)
    return next((path for path in candidates if path.exists()), None)


def _names(bundle: Path) -> tuple[str, ...]:
    """What its signature may be called after: the file, and the bundle of which it is a piece."""
    piece = _PIECE.fullmatch(bundle.name)
    return (bundle.name,) if piece is None else (bundle.name, piece[1])
