"""The operator's own certificate: what cannot be served with is told in one sentence."""

import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry.pki.certificates import Certificates
from registry.pki.errors import CertificateInvalid
from registry.pki.provided import ProvidedFiles
from tests.registry.pki.certs import DAY, NOW, Made, make, rsa_key, shown_by

ROOT = make("root", ca=True)
MIDDLE = make("middle", ROOT, ca=True)
SERVER = make("server", MIDDLE)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Where the certificate and the key are; a good pair."""
    paths = tmp_path / "server.crt", tmp_path / "server.key"
    paths[0].write_bytes(SERVER.pem + MIDDLE.pem + ROOT.pem)
    paths[1].write_bytes(SERVER.key_pem)
    paths[1].chmod(0o600)
    return paths


def test_a_good_pair_is_served_and_its_last_issuer_is_for_clients(files: tuple[Path, Path]) -> None:
    certificates = Certificates(ProvidedFiles(*files))
    assert shown_by(certificates) == SERVER.certificate
    assert certificates.ca_pem == ROOT.pem
    assert certificates.ca_file is None
    assert certificates.expires == SERVER.certificate.not_valid_after_utc


def test_a_chain_may_end_below_its_root(files: tuple[Path, Path]) -> None:
    files[0].write_bytes(SERVER.pem + MIDDLE.pem)
    assert Certificates(ProvidedFiles(*files)).ca_pem == MIDDLE.pem


def test_without_its_chain_no_ca_is_known(files: tuple[Path, Path]) -> None:
    files[0].write_bytes(SERVER.pem)
    certificates = Certificates(ProvidedFiles(*files))
    assert (certificates.ca_pem, certificates.ca_fingerprint) == (None, None)


@pytest.mark.parametrize("key", [None, rsa_key()])
def test_a_self_signed_certificate_is_its_own_ca(files: tuple[Path, Path], key: object) -> None:
    own = make("self", key=key)  # type: ignore[arg-type]
    files[0].write_bytes(own.pem)
    files[1].write_bytes(own.key_pem)
    certificates = Certificates(ProvidedFiles(*files))
    assert certificates.ca_pem == own.pem


def pem(*chain: Made) -> bytes:
    return b"".join(each.pem for each in chain)


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        (None, SERVER.key_pem, r"cannot read the certificate .*server\.crt: No such file"),
        (SERVER.pem, None, r"cannot read the key .*server\.key: No such file"),
        (b"", SERVER.key_pem, "is no certificate in PEM format"),
        (b"\x30\x82\xff", SERVER.key_pem, "is no certificate in PEM format"),
        (SERVER.pem, b"nonsense", "is no private key in PEM format"),
        (SERVER.pem, SERVER.pem, "is no private key in PEM format"),
        (SERVER.pem, ROOT.key_pem, "is not the key of"),
        (pem(MIDDLE, SERVER), SERVER.key_pem, "is in the wrong order"),
        (pem(SERVER, ROOT, MIDDLE), SERVER.key_pem, "'CN=server' is not issued by 'CN=root'"),
        (pem(SERVER, make("middle", ca=True)), SERVER.key_pem, "'CN=server' is not issued by 'CN=middle'"),
    ],
)
def test_a_pair_that_does_not_do_is_told(
    files: tuple[Path, Path], certificate: bytes | None, key: bytes | None, said: str
) -> None:
    for path, content in zip(files, (certificate, key), strict=True):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    with pytest.raises(CertificateInvalid, match=said) as caught:
        Certificates(ProvidedFiles(*files))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"end": NOW - DAY / 2}, "ended on"),
        ({"begin": NOW + DAY}, "begins on"),
        ({"hosts": ()}, "names no host"),
        ({"use": ExtendedKeyUsageOID.CLIENT_AUTH}, "is not for servers"),
        ({"key": rsa_key(1024)}, "KEY_TOO_SMALL"),
    ],
)
def test_a_certificate_that_clients_would_refuse_is_told(
    files: tuple[Path, Path], options: dict[str, object], said: str
) -> None:
    made = make("server", **options)  # type: ignore[arg-type]
    files[0].write_bytes(made.pem)
    files[1].write_bytes(made.key_pem)
    with pytest.raises(CertificateInvalid, match=said):
        Certificates(ProvidedFiles(*files))


def test_a_key_with_a_passphrase_is_told_and_asked_of_nobody(files: tuple[Path, Path]) -> None:
    files[1].write_bytes(SERVER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    with pytest.raises(CertificateInvalid, match="needs a passphrase"):
        Certificates(ProvidedFiles(*files))


def test_a_key_that_anybody_can_read_is_told(files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    for mode, told in ((0o600, 0), (0o640, 0), (0o644, 1)):
        files[1].chmod(mode)
        Certificates(ProvidedFiles(*files))
        assert caplog.text.count(f"everybody on this machine can read the key {files[1]}") == told


def test_that_it_ends_soon_is_told_once(files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    clock = [NOW]
    certificates = Certificates(ProvidedFiles(*files), clock=lambda: clock[0])
    certificates.renew()
    assert not caplog.records
    clock[0] = NOW + 61 * DAY
    certificates.renew()
    certificates.renew()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    clock[0] = NOW + 91 * DAY
    certificates.renew()
    certificates.renew()
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert "ended on" in caplog.text
