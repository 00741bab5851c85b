"""Certificates for tests: chains as operators have them, handshakes, and what openssl thinks."""

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registry.pki.certificates import Certificates
from registry.pki.issue import SigningKey, key_pem, key_usage, new_key
from registry.pki.names import DnsName, SubjectName

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
LOCAL: frozenset[SubjectName] = frozenset({DnsName("localhost"), IPv4Address("127.0.0.1")})


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: SigningKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)


def make(
    name: str,
    issuer: Made | None = None,
    *,
    ca: bool = False,
    begin: datetime = NOW - DAY,
    end: datetime = NOW + 90 * DAY,
    hosts: tuple[str, ...] = ("localhost",),
    use: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    key: SigningKey | None = None,
) -> Made:
    """A certificate, self-signed without an issuer."""
    key = key or new_key()
    above = issuer.key if issuer else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(key_usage("key_cert_sign" if ca else "digital_signature"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
    return Made(builder.sign(above, hashes.SHA256()), key)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def trusting(ca: bytes) -> ssl.SSLContext:
    """A client as strict as Python can be, which trusts this CA alone."""
    context = ssl.create_default_context(cadata=ca.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> tuple[ssl.SSLSocket, bytes]:
    """A real handshake over a socket pair: the client's closed end, and the certificate that it was shown.

    Raises:
        ssl.SSLError: either side refuses.
    """
    ours, theirs = socket.socketpair()
    refusals: list[Exception] = []

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True) as wrapped:
                wrapped.sendall(b"x")
        except OSError as error:
            refusals.append(error)
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        theirs.settimeout(10)
        with client.wrap_socket(theirs, server_hostname=host) as wrapped:
            wrapped.recv(1)  # TLS 1.3: a server refuses a client's certificate after the client's handshake
            shown = wrapped.getpeercert(binary_form=True)
            assert shown is not None
            return wrapped, shown
    finally:
        theirs.close()
        thread.join()


def shown_by(certificates: Certificates, host: str = "localhost") -> x509.Certificate:
    """The certificate that a client gets now and accepts."""
    assert certificates.ca_pem is not None
    return x509.load_der_x509_certificate(handshake(certificates.context(), trusting(certificates.ca_pem), host)[1])


def openssl_accepts(ca: Path, certificate: Path, *arguments: str) -> None:
    """Real openssl verifies the certificate for a TLS server, by the letter of RFC 5280."""
    options = ("-x509_strict", "-purpose", "sslserver", *arguments, "-CAfile")
    done = subprocess.run(["openssl", "verify", *options, ca, certificate], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Files of the process are made with this mask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
