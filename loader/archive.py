"""One archive of a bundle on its way through: its documents are in memory, its blobs may still be on theirs."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from loader.errors import MemberInvalid, MemberTruncated
from loader.stream import ByteStream, Window
from loader.tar import Entry, read_entries
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, OCIError
from registry.oci.manifest import SIZE_LIMIT
from registry.storage.blobs import StoredBlob

ENTRY: Final = 4 * 1024
"""What a file of an archive takes in memory, with all that is known of it."""
LIMIT: Final = 64 * 1024 * 1024
"""Of one archive; a real one has a few hundred kilobytes of documents, and some hundred files."""

Blob = Future[StoredBlob]


@dataclass(slots=True)
class Archive:
    """What one archive holds, by the names its tar gives; blobs may still be on their way."""

    path: str
    size: int
    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, Blob] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    brought: set[Digest] = field(default_factory=set)
    """Blobs that the store did not have before, as far as the archive names them."""
    held: int = 0
    """Bytes that it takes in memory."""
    fault: MemberInvalid | OCIError | None = None
    is_excluded: bool = False
    """It is not wanted, by its name or for its platform."""
    platforms: frozenset[str] = frozenset()
    """For which it has an image, wanted or not, if some platforms are selected."""
    end: int = 0
    """Where the next member begins in the bundle's tar."""

    @property
    def is_settled(self) -> bool:
        return all(blob.done() for blob in self.blobs.values())

    def settle(self) -> None:
        """Wait for the blobs; the first that failed becomes the archive's fault.

        Raises:
            StorageError: the disk refuses: no other archive would fare better.
            WorkerKilled: a process of the pool was.
        """
        for name, blob in self.blobs.items():
            try:
                blob.result()
            except (MemberInvalid, OCIError) as error:
                self.fault = self.fault or MemberInvalid(f"{name}: {error}")

    def hold(self, count: int) -> None:
        """Count what is kept in memory.

        Raises:
            MemberInvalid: it is more than any image takes.
        """
        self.held += count
        if self.held > LIMIT:
            raise MemberInvalid(f"its documents, and {ENTRY} bytes for each of its files, are more than {LIMIT} bytes")

    def read_document(self, name: str, head: bytes, content: Window, digest: Digest | None = None) -> None:
        """Take a document of which `head` was read, and which has to hash to `digest`.

        Raises:
            MemberInvalid, DigestInvalid: it is too large, or another one.
        """
        if content.size > SIZE_LIMIT:
            raise MemberInvalid(f"a document of {content.size} bytes is more than the {SIZE_LIMIT} that are taken")
        self.hold(content.size)
        body = self.documents[name] = head + content.read(content.size)
        if digest is not None and Digest.of(body, digest.algorithm) != digest:
            raise DigestInvalid(f"{name} does not hash to its name")


def read_archive(content: ByteStream) -> Iterator[Entry]:
    """The entries of an archive's own tar.

    Raises:
        MemberInvalid: it is damaged, or ends early.
    """
    return read_entries(content, MemberTruncated("the archive ends in the middle of a file"))
