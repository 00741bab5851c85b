"""What workers get: a context for every connection, always of the files that are there now."""

import os
import ssl
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry.config import TlsSettings
from registry.pki.authority import OwnAuthority
from registry.pki.certificates import Certificates
from registry.pki.errors import CertificateInvalid
from registry.pki.provided import ProvidedFiles
from registry.storage.errors import StorageMissing
from registry.storage.layout import Layout
from registry.storage.store import Store
from tests.registry.pki.certs import DAY, LOCAL, NOW, Made, handshake, make, shown_by, trusting

CLIENTS = make("clients", ca=True)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let some seconds pass for whoever looks at the monotonic clock."""
    passed = [0.0]
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])

    def forward(seconds: float) -> None:
        passed[0] += seconds

    return forward


def own(root: Path, clock: Callable[[], datetime] = lambda: NOW, client_ca: Path | None = None) -> Certificates:
    return Certificates(OwnAuthority(Layout(root), machine=lambda: LOCAL), client_ca, clock)


def put(made: Made, folder: Path) -> ProvidedFiles:
    (folder / "crt").write_bytes(made.pem)
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_bytes(made.key_pem)
    return ProvidedFiles(folder / "crt", folder / "key")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_strict_client_is_served(tmp_path: Path, version: ssl.TLSVersion) -> None:
    certificates = own(tmp_path)
    assert certificates.ca_pem is not None
    client = trusting(certificates.ca_pem)
    client.minimum_version = client.maximum_version = version
    for host in ("localhost", "127.0.0.1"):
        handshake(certificates.context(), client, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(certificates.context(), client, "other.example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates.context(), ssl.create_default_context())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(tmp_path: Path) -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = ssl.TLSVersion.TLSv1
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        handshake(own(tmp_path).context(), client)


def test_a_client_that_offers_http_2_is_told_http_1(tmp_path: Path) -> None:
    certificates = own(tmp_path)
    assert certificates.ca_pem is not None
    client = trusting(certificates.ca_pem)
    chosen: list[str | None] = []

    class Spy(ssl.SSLSocket):
        def close(self) -> None:
            chosen.append(self.selected_alpn_protocol() if self._sslobj else None)  # type: ignore[attr-defined]
            super().close()

    client.sslsocket_class = Spy
    handshake(certificates.context(), client)
    assert "http/1.1" in chosen


def test_the_fingerprint_is_what_openssl_prints(tmp_path: Path) -> None:
    certificates = own(tmp_path)
    assert certificates.ca_file is not None
    command = ("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", certificates.ca_file)
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.strip().partition("=")[2] == certificates.ca_fingerprint
    assert certificates.ca_file.read_bytes() == certificates.ca_pem


def test_a_renewed_certificate_is_taken_up_by_every_worker(tmp_path: Path, pass_time: Callable[[float], None]) -> None:
    clock = [NOW]
    renewing, other = own(tmp_path, lambda: clock[0]), own(tmp_path, lambda: clock[0])
    first = shown_by(renewing)
    assert shown_by(other) == first
    clock[0] = NOW + 270 * DAY
    renewing.renew()
    pass_time(3)
    after = {each.context() for each in (renewing, other)}
    assert len(after) == 2
    assert renewing.expires == other.expires > NOW + 600 * DAY
    assert renewing.ca_pem == other.ca_pem


def test_the_files_are_looked_at_now_and_then_only(tmp_path: Path, pass_time: Callable[[float], None]) -> None:
    certificates = Certificates(put(make("one"), tmp_path))
    first = certificates.context()
    put(make("two"), tmp_path)
    assert certificates.context() is first
    pass_time(3)
    second = certificates.context()
    assert second is not first
    pass_time(3)
    assert certificates.context() is second


def test_reload_looks_at_once(tmp_path: Path) -> None:
    certificates = Certificates(put(make("one"), tmp_path))
    two = make("two")
    put(two, tmp_path)
    certificates.reload()
    assert shown_by(certificates) == two.certificate


def test_broken_new_files_leave_the_old_in_use_and_are_told_once(
    tmp_path: Path, pass_time: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = make("one"), make("two")
    certificates = Certificates(put(one, tmp_path))
    (tmp_path / "crt").write_bytes(two.pem)
    for _ in range(3):
        pass_time(3)
        assert shown_by(certificates) == one.certificate
    assert len(caplog.records) == 1
    assert "is not the key of" in caplog.text
    (tmp_path / "key").write_bytes(two.key_pem)
    pass_time(3)
    assert shown_by(certificates) == two.certificate
    (tmp_path / "key").unlink()
    pass_time(3)
    assert shown_by(certificates) == two.certificate
    assert len(caplog.records) == 2


def test_a_renewal_that_fails_is_told_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = [NOW]
    certificates = own(tmp_path, lambda: clock[0])
    key = Layout(tmp_path).ca_key
    kept = key.read_bytes()
    key.unlink()
    clock[0] = NOW + 300 * DAY
    certificates.renew()
    certificates.renew()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    key.write_bytes(kept)
    certificates.renew()
    certificates.reload()
    assert certificates.expires > NOW + 600 * DAY


def client_with(made: Made | None, ca: bytes, folder: Path) -> ssl.SSLContext:
    context = trusting(ca)
    if made is not None:
        (folder / "client.pem").write_bytes(made.key_pem + made.pem)
        context.load_cert_chain(folder / "client.pem")
    return context


def test_with_a_client_ca_only_its_clients_are_served(tmp_path: Path) -> None:
    (tmp_path / "clients.crt").write_bytes(CLIENTS.pem)
    certificates = own(tmp_path, client_ca=tmp_path / "clients.crt")
    ca = certificates.ca_pem
    assert ca is not None
    use = ExtendedKeyUsageOID.CLIENT_AUTH
    handshake(certificates.context(), client_with(make("node", CLIENTS, use=use), ca, tmp_path))
    for stranger in (None, make("stranger", use=use), make("late", CLIENTS, use=use, end=NOW - DAY / 2)):
        with pytest.raises(OSError, match=r"(?i)certificate|alert|ssl|reset|pipe"):
            handshake(certificates.context(), client_with(stranger, ca, tmp_path))


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_a_client_ca_that_does_not_do_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "clients.crt").write_bytes(content)
    with pytest.raises(CertificateInvalid, match=r"cannot use the client CA .*clients\.crt"):
        own(tmp_path, client_ca=tmp_path / "clients.crt")


def test_it_is_opened_as_the_settings_say(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(StorageMissing):
        Certificates.open(TlsSettings(), roots)
    Store.open(roots).close()
    assert Certificates.open(TlsSettings("off", plain_http="any"), roots) is None
    made = Certificates.open(TlsSettings(), [*reversed(roots)])
    assert made is not None
    assert made.ca_file == tmp_path / "one" / "pki" / "ca.crt"
    put(make("mine"), tmp_path)
    mine = Certificates.open(TlsSettings("files", tmp_path / "crt", tmp_path / "key"), roots)
    assert mine is not None
    assert mine.ca_fingerprint != made.ca_fingerprint


def test_a_context_crosses_a_fork_and_follows_its_files_there(tmp_path: Path) -> None:
    certificates = Certificates(put(make("one"), tmp_path))
    two = make("two")
    put(two, tmp_path)
    child = os.fork()
    if child == 0:
        certificates.reload()
        os._exit(shown_by(certificates) != two.certificate)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
