"""What can be wrong with certificates and keys.

Failure
├── CertificateInvalid   exit code 2: the operator's certificate, key or CA cannot be used
├── HostNameInvalid      exit code 2: neither a DNS name nor an address
└── AuthorityUnusable    exit code 4: our own CA is damaged or not whole
"""

from typing import ClassVar

from registry.oci.errors import Failure


class CertificateInvalid(Failure):
    """A file that the operator named does not do."""

    exit_code: ClassVar[int] = 2


class HostNameInvalid(Failure):
    """A certificate cannot name this."""

    exit_code: ClassVar[int] = 2


class AuthorityUnusable(Failure):
    """Nothing can be signed with our own CA."""

    exit_code: ClassVar[int] = 4
