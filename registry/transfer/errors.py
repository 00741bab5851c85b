"""What can go wrong between two places that hold images.

Failure
├── TransferError
│   ├── PlaceInvalid         exit code 2: neither a registry's address nor a store, or not a safe one
│   ├── LoginInvalid         exit code 2: the credentials as given cannot be used
│   ├── ReceiptInvalid       exit code 2: the file does not say what a store holds
│   ├── ReferenceMissing     nothing goes by that name
│   ├── RegistryUnavailable  no answer, or only excuses, however often it was asked
│   ├── RegistryUntrusted    its certificate is not of a known authority
│   ├── RegistryRefused      it answers, and says no
│   ├── AnswerInvalid        its answer is not what the specification allows
│   ├── ExportFailed         the archive cannot be written
│   ├── CopyIncomplete       some images were not copied
│   └── Stopped              the operator does not want to go on
└── Interrupted              not told to anybody: what may go better when tried again
"""

from typing import ClassVar

from registry.oci.errors import Failure


class TransferError(Failure):
    """Images cannot be brought from one place to another."""


class PlaceInvalid(TransferError):
    """What was named is no place to copy from or to."""

    exit_code: ClassVar[int] = 2


class LoginInvalid(TransferError):
    """Credentials cannot be read."""

    exit_code: ClassVar[int] = 2


class ReceiptInvalid(TransferError):
    """A file was to tell what a store holds, and does not."""

    exit_code: ClassVar[int] = 2


class ReferenceMissing(TransferError):
    """No image goes by that name."""


class RegistryUnavailable(TransferError):
    """The registry did not answer, as often as it was asked."""


class RegistryUntrusted(TransferError):
    """The registry's certificate proves nothing."""


class RegistryRefused(TransferError):
    """The registry said no."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class AnswerInvalid(TransferError):
    """The registry's answer breaks the specification; nothing of it was used."""


class ExportFailed(TransferError):
    """The archive cannot be written."""

    exit_code: ClassVar[int] = 4


class CopyIncomplete(TransferError):
    """Some images were not copied."""


class Stopped(TransferError):
    """The work was given up on request."""


class Interrupted(Exception):
    """A request that may go better next time; `retry_after` is what the registry asks for, in seconds."""

    def __init__(self, sentence: str, retry_after: float = 0) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after
