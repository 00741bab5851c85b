"""When the certificates of this machine end: the registry's, k0s' and those that the settings name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from installer.host import Host
from installer.paths import K0S_STATE, REGISTRY_CA

# k0s signs all of its own anew when it starts, except for its authorities.
_K0S = ("pki", "pki/etcd", "kubelet/pki")
_SUFFIXES = (".crt", ".pem")


@dataclass(frozen=True, slots=True, order=True)
class Certificate:
    """One in a file, and from when to when it is good."""

    path: Path
    begins: datetime
    ends: datetime


def certificates(host: Host, roots: tuple[Path, ...], *named: Path | None) -> list[Certificate]:
    """All that can be read; of a file with several, the one that ends first."""
    files = [REGISTRY_CA, *(each for each in named if each)]
    files += [path for root in roots for path in (root / "pki/ca.crt", root / "pki/server.pem")]
    files += [path for folder in _K0S for path in host.entries(K0S_STATE / folder) if path.suffix in _SUFFIXES]
    return sorted(found for path in dict.fromkeys(files) for found in _read(host, path))


def _read(host: Host, path: Path) -> Iterator[Certificate]:
    content = host.read(path)
    if content is None or b"BEGIN CERTIFICATE" not in content:
        return
    begin = content.index(b"-----BEGIN CERTIFICATE")  # a key may stand in front
    try:
        found = x509.load_pem_x509_certificates(content[begin:])
    except ValueError:
        return
    first = min(found, key=lambda each: each.not_valid_after_utc)
    yield Certificate(path, first.not_valid_before_utc, first.not_valid_after_utc)
