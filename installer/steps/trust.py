"""The registry's CA among those that this host trusts, in whatever way its distribution has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from installer.changes import Change, RemoveFile, Run, ensure_file
from installer.host import Host
from installer.journal import records
from installer.paths import REGISTRY_CA


@dataclass(frozen=True, slots=True)
class TrustStore:
    """One distribution's way: its program makes `bundle` of the distribution's CAs and of what lies in `anchors`."""

    program: tuple[str, ...]
    anew: tuple[str, ...]
    """The same, when something was taken out: Debian's leaves it in otherwise."""
    anchors: Path
    bundle: Path

    @property
    def anchor(self) -> Path:
        return self.anchors / "k0rdentd-registry.crt"


_STORES = (
    TrustStore(
        ("update-ca-certificates",),
        ("update-ca-certificates", "--fresh"),
        Path("/usr/local/share/ca-certificates"),
        Path("/etc/ssl/certs/ca-certificates.crt"),
    ),
    TrustStore(
        ("update-ca-trust", "extract"),
        ("update-ca-trust", "extract"),
        Path("/etc/pki/ca-trust/source/anchors"),
        Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    ),
)


@dataclass(frozen=True, slots=True)
class Trust:
    """Programs of this host trust the registry; containerd has the CA from a file of its own."""

    ca: bytes
    title: str = "trust in the registry's CA"

    def changes(self, host: Host) -> Iterator[Change]:
        yield from ensure_file(host, REGISTRY_CA, self.ca)
        store = trust_store(host)
        if store is None:
            return
        is_gone = _is_ours(host, store) and host.read(store.anchor) != self.ca
        if is_gone or not _trusts(host, store, self.ca):
            yield from ensure_file(host, store.anchor, self.ca)
            yield Run(store.program, "the host's list of trusted CAs is made anew")


@dataclass(frozen=True, slots=True)
class Distrust:
    """The registry's CA is trusted no more, where an installation had it trusted."""

    title: str = "no trust in the registry's CA"

    def changes(self, host: Host) -> Iterator[Change]:
        store, ca = trust_store(host), host.read(REGISTRY_CA)
        if store is None or ca is None or not _trusts(host, store, ca):
            return
        if _is_ours(host, store):
            yield RemoveFile(store.anchor)
            yield Run(store.anew, "the host's list of trusted CAs is made anew")


def trust_store(host: Host) -> TrustStore | None:
    """How this host keeps the CAs that it trusts; None where it does so in no way that we know."""
    return next((store for store in _STORES if host.has(store.program[0])), None)


def _is_ours(host: Host, store: TrustStore) -> bool:
    """Whether an installation put the CA there, and not somebody else before."""
    return any(record.path == store.anchor and record.before is None for record in records(host))


def _trusts(host: Host, store: TrustStore, ca: bytes) -> bool:
    """Whether the list in force has the CA, however its lines are broken."""
    return _bare(ca) in _bare(host.read(store.bundle) or b"")


def _bare(pem: bytes) -> bytes:
    """The certificates alone."""
    inside, lines = False, []
    for line in pem.splitlines():
        inside = (inside or line.startswith(b"-----BEGIN")) and not line.startswith(b"-----END")
        if inside or line.startswith(b"-----END"):
            lines.append(line.strip())
    return b"".join(lines)
