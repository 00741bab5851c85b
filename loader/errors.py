"""What can be wrong with a bundle.

Failure
└── LoaderError
    ├── BundleInvalid        the file as a whole: nothing more can be read from it
    │   ├── PlatformMissing  no image in it is for a platform that is wanted: the others are loaded
    │   ├── BundleMissing    exit code 2: there is none, or it cannot be opened
    │   └── BundleTruncated  it ends before it should
    ├── Untrusted            nothing of the bundle is served
    │   ├── KeyUnusable      exit code 2: no public key is where one was named
    │   └── SignatureInvalid there is no signature, or it is not one of these bytes by that key
    ├── WorkerKilled         exit code 4: a process of the pool is gone
    ├── JournalForeign       never ends a load: what is remembered of the bundle was written by another version
    └── MemberInvalid        one member: the rest of the bundle is loaded all the same
        ├── MemberTruncated  the archive ends before it should
        ├── HeaderTooLarge   the names and attributes of an entry take more than is read of them
        └── NoArchive        not even its first bytes are those of an archive
"""

from typing import ClassVar

from registry.oci.errors import Failure


class LoaderError(Failure):
    """A bundle, or a part of it, cannot be loaded."""


class BundleInvalid(LoaderError):
    """The file or directory is no bundle, or cannot be read on."""


class BundleMissing(BundleInvalid):
    """There is no such file or directory, or it cannot be opened."""

    exit_code: ClassVar[int] = 2


class PlatformMissing(BundleInvalid):
    """No image in it is for a platform that is wanted."""


class BundleTruncated(BundleInvalid):
    """The bundle ends in the middle of a member."""


class Untrusted(LoaderError):
    """It is not proven where the bundle comes from."""


class KeyUnusable(Untrusted):
    """What should be the signer's public key is none, or cannot be had."""

    exit_code: ClassVar[int] = 2


class SignatureInvalid(Untrusted):
    """The signature is none, or not one of this file by this key."""


class WorkerKilled(LoaderError):
    """A process of the pool was killed."""

    exit_code: ClassVar[int] = 4


class JournalForeign(LoaderError):
    """What an earlier load remembers of the bundle was written by another version."""


class MemberInvalid(LoaderError):
    """One member is not an archive that can be loaded."""


class MemberTruncated(MemberInvalid):
    """An archive inside the bundle ends in the middle of a file."""


class HeaderTooLarge(MemberInvalid):
    """The names and attributes of an entry take more than is read of them: it is whole, and not taken."""


class NoArchive(MemberInvalid):
    """It does not begin as a tar does."""
