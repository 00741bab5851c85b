"""Images that are in the store and may not be named yet, kept on disk: memory does not grow with their number."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from registry.oci.digest import Digest
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.errors import disk_errors
from registry.storage.store import Image


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member of the bundle whose blobs are in place, and the image in it or the reason why there is none."""

    path: str
    size: int
    image: Image | None
    error: str | None = None


class Waiting:
    """Candidates in their order, in a file without a name: a kill leaves nothing of it.

    An image is kept without its blobs, which the index has to know by then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with disk_errors(folder):
            self._file = tempfile.TemporaryFile("w+", encoding="ascii", dir=folder)  # noqa: SIM115  # closed by exit

    def add(self, candidate: Candidate) -> None:
        """Put it behind the others.

        Raises:
            StorageFull: there is no room.
        """
        with disk_errors(self._folder):
            self._file.write(_to_line(candidate))

    def __iter__(self) -> Iterator[Candidate]:
        with disk_errors(self._folder):
            self._file.seek(0)
        for line in self._file:
            yield _from_line(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors(self._folder):
            self._file.close()


def _to_line(candidate: Candidate) -> str:
    image = candidate.image
    named = None if image is None else (str(image.reference), str(image.root), [*map(_manifest, image.manifests)])
    return json.dumps((candidate.path, candidate.size, candidate.error, named)) + "\n"


def _manifest(entry: tuple[Digest, Manifest]) -> tuple[str, str, str]:
    """Its bytes have to come back as they are, in whatever encoding."""
    digest, manifest = entry
    return str(digest), manifest.media_type, manifest.body.decode("latin-1")


def _from_line(line: str) -> Candidate:
    path, size, error, named = json.loads(line)
    if named is None:
        return Candidate(path, size, None, error)
    reference, root, manifests = named
    parsed = tuple(
        (Digest.parse(digest), Manifest.parse(body.encode("latin-1"), media_type))
        for digest, media_type, body in manifests
    )
    return Candidate(path, size, Image(Reference.parse(reference), Digest.parse(root), parsed, ()))
