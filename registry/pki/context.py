"""How TLS is spoken with a certificate."""

import ssl
from pathlib import Path

from registry.pki.errors import CertificateInvalid


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, HTTP/1.1; with `client_ca`, clients must show a certificate of it.

    Raises:
        CertificateInvalid: OpenSSL refuses a file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # of TLS 1.2; all of 1.3 are good
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF  # HTTP knows itself what is whole
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE  # who pulls knows which cipher is fast there, as with nginx
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password="")  # a password, or OpenSSL would ask the terminal
    except (OSError, ValueError) as error:
        raise CertificateInvalid(f"cannot serve with {certificate} and {key}: {error}") from error
    if client_ca is not None:
        _require_clients(context, client_ca)
    return context


def _require_clients(context: ssl.SSLContext, client_ca: Path) -> None:
    try:
        context.load_verify_locations(client_ca)
    except OSError as error:
        reason = "no certificate in PEM format" if isinstance(error, ssl.SSLError) else error.strerror
        raise CertificateInvalid(f"cannot use the client CA {client_ca}: {reason}") from error
    context.verify_mode = ssl.CERT_REQUIRED
