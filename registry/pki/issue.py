"""Makes certificates (RFC 5280): that of a CA, and what it signs for the registry. Touches no file."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registry.pki.names import DnsName, SubjectName

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_ADDRESSES = (IPv4Address, IPv6Address)
_KEY_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
# A CA has to be good whatever the clock said when it was made: section 4.1.2.5 has this date for "no end".
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_NO_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
# What browsers take from public CAs, the strictest there are; programs take anything.
_LIFE = timedelta(days=390)
_CLOCKS_DIFFER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign."""

    certificate: x509.Certificate
    key: SigningKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """P-256: every client has it, and it signs fastest."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: SigningKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_authority(key: SigningKey) -> Authority:
    """A CA for this key. Made twice, both do for whoever trusts one: name and key identifier come from the key."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"k0rdentd registry CA {identifier.digest.hex()[:8]}")
    builder = (
        _builder(name, name, key, _BEGINNING, _NO_END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(identifier, critical=False)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Authority, names: AbstractSet[SubjectName], now: datetime) -> bytes:
    """A new key and a certificate of it for these names, both as PEM."""
    key = new_key()
    issuer = authority.certificate
    until = min(now + _LIFE, issuer.not_valid_after_utc)
    builder = (
        _builder(_name("k0rdentd registry"), issuer.subject, key, now - _CLOCKS_DIFFER, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_issuer_identifier(issuer), critical=False)
    )
    certificate = builder.sign(authority.key, hashes.SHA256())
    return key_pem(key) + certificate.public_bytes(Encoding.PEM)


def reason_to_renew(
    certificate: x509.Certificate, issuer: x509.Certificate, names: AbstractSet[SubjectName], now: datetime
) -> str | None:
    """Why the certificate should be replaced, None while it does."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now < end - (end - begin) / 3:
        return f"it is good from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, and the clock says {now:%Y-%m-%d}"
    if not is_issued_by(certificate, issuer):
        return "it is of another CA"
    missing = names - names_of(certificate)
    return f"it lacks {', '.join(sorted(map(str, missing)))}" if missing else None


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether name and signature say so."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def names_of(certificate: x509.Certificate) -> frozenset[SubjectName]:
    """The hosts that the certificate is for."""
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    hosts = (DnsName(name.lower()) for name in listed.get_values_for_type(x509.DNSName))
    addresses = (each for each in listed.get_values_for_type(x509.IPAddress) if isinstance(each, _ADDRESSES))
    return frozenset((*hosts, *addresses))


def key_usage(*allowed: str) -> x509.KeyUsage:
    """What a key may be used for, by RFC 5280's names."""
    return x509.KeyUsage(**{use: use in allowed for use in _KEY_USES})


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: SigningKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _general_names(names: AbstractSet[SubjectName]) -> list[x509.GeneralName]:
    ordered = sorted(names, key=lambda name: (not isinstance(name, str), str(name)))
    return [x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name) for name in ordered]


def _issuer_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
