"""Everything that can go wrong in the vocabulary, drawn as a tree.

Failure                      one sentence for an operator, and the exit code of the command
└── OCIError                 one row of the specification's error table: code, status, message
    ├── BlobTooLarge         413  SIZE_INVALID
    ├── BlobUnknown          404  BLOB_UNKNOWN
    ├── BlobUploadInvalid    400  BLOB_UPLOAD_INVALID
    ├── BlobUploadUnknown    404  BLOB_UPLOAD_UNKNOWN
    ├── Denied               403  DENIED
    ├── DigestInvalid        400  DIGEST_INVALID
    ├── ManifestBlobUnknown  400  MANIFEST_BLOB_UNKNOWN
    ├── ManifestInvalid      400  MANIFEST_INVALID
    ├── ManifestTooLarge     413  SIZE_INVALID
    ├── ManifestUnknown      404  MANIFEST_UNKNOWN
    ├── NameInvalid          400  NAME_INVALID
    ├── NameUnknown          404  NAME_UNKNOWN
    ├── PreconditionFailed   412  DENIED
    ├── RangeNotSatisfiable  416  UNSUPPORTED
    ├── SizeInvalid          400  SIZE_INVALID
    ├── SwitchedOff          405  UNSUPPORTED
    ├── TagInvalid           400  MANIFEST_INVALID
    ├── TooManyRequests      429  TOOMANYREQUESTS
    ├── Unauthorized         401  UNAUTHORIZED
    ├── Unsupported          400  UNSUPPORTED
    └── UploadOutOfOrder     416  BLOB_UPLOAD_INVALID

The codes are those of the distribution specification, section "Error Codes"; it allows no others.
"""

from typing import ClassVar, Self


class Failure(Exception):
    """Something went wrong that one sentence can tell: it names the thing and the way out."""

    exit_code: ClassVar[int] = 1


class OCIError(Failure):
    """A refusal that the specification has a code for; `detail` says what was refused."""

    code: ClassVar[str]
    status: ClassVar[int]
    message: ClassVar[str]

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{self.message}: {detail}" if detail else self.message)
        self.detail = detail

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Survive the way back from another process with the detail alone."""
        return type(self), (self.detail,)


class BlobTooLarge(OCIError):
    """The blob has more bytes than this registry takes."""

    code, status, message = "SIZE_INVALID", 413, "blob too large"


class BlobUnknown(OCIError):
    """The repository holds no such blob."""

    code, status, message = "BLOB_UNKNOWN", 404, "blob unknown to registry"


class BlobUploadInvalid(OCIError):
    """The request does not fit an upload: a malformed Content-Range, a body cut short."""

    code, status, message = "BLOB_UPLOAD_INVALID", 400, "blob upload invalid"


class BlobUploadUnknown(OCIError):
    """No such upload in this repository: never begun, finished, cancelled or expired."""

    code, status, message = "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"


class Denied(OCIError):
    """Who asks is known, and may not."""

    code, status, message = "DENIED", 403, "requested access to the resource is denied"


class DigestInvalid(OCIError):
    """The text is no digest, its algorithm is not supported, or the content does not match it."""

    code, status, message = "DIGEST_INVALID", 400, "digest invalid or not matching the content"


class ManifestBlobUnknown(OCIError):
    """The manifest needs a blob or manifest that is not there."""

    code, status, message = "MANIFEST_BLOB_UNKNOWN", 400, "manifest references an unknown manifest or blob"


class ManifestInvalid(OCIError):
    """The document is not a manifest that this registry may store."""

    code, status, message = "MANIFEST_INVALID", 400, "manifest invalid"


class ManifestTooLarge(OCIError):
    """The manifest has more bytes than this registry takes."""

    code, status, message = "SIZE_INVALID", 413, "manifest too large"


class ManifestUnknown(OCIError):
    """The repository holds no such manifest or tag."""

    code, status, message = "MANIFEST_UNKNOWN", 404, "manifest unknown to registry"


class NameInvalid(OCIError):
    """The text is no repository name."""

    code, status, message = "NAME_INVALID", 400, "invalid repository name"


class NameUnknown(OCIError):
    """No such repository."""

    code, status, message = "NAME_UNKNOWN", 404, "repository name not known to registry"


class PreconditionFailed(OCIError):
    """What is there is not what the client expected."""

    code, status, message = "DENIED", 412, "precondition failed"


class RangeNotSatisfiable(OCIError):
    """The asked range begins behind the end of the blob."""

    code, status, message = "UNSUPPORTED", 416, "requested range not satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the blob has {size} bytes")
        self.size = size


class SizeInvalid(OCIError):
    """The content is longer or shorter than was said."""

    code, status, message = "SIZE_INVALID", 400, "provided length did not match content length"


class SwitchedOff(OCIError):
    """The operator did not allow this operation."""

    code, status, message = "UNSUPPORTED", 405, "the operation is switched off"


class TagInvalid(OCIError):
    """The text is no tag."""

    code, status, message = "MANIFEST_INVALID", 400, "invalid tag"


class TooManyRequests(OCIError):
    """Come back later."""

    code, status, message = "TOOMANYREQUESTS", 429, "too many requests"


class Unauthorized(OCIError):
    """Credentials are needed, or those given are wrong; the answer does not tell which."""

    code, status, message = "UNAUTHORIZED", 401, "authentication required"

    def __init__(self, challenge: str) -> None:
        super().__init__("log in, or check user and password")  # without a detail Go clients show one word
        self.challenge = challenge


class Unsupported(OCIError):
    """The operation, or a parameter of it, is not supported."""

    code, status, message = "UNSUPPORTED", 400, "the operation is unsupported"


class UploadOutOfOrder(OCIError):
    """The chunk does not begin where the upload stands; the session goes on unchanged."""

    code, status, message = "BLOB_UPLOAD_INVALID", 416, "chunk out of order"

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload stands at {offset} bytes")
        self.offset = offset
