"""A member of the bundle between the pool and its name, in memory and as the journal keeps it."""

from dataclasses import dataclass, replace
from typing import Self

import orjson

from loader.archive import Archive
from loader.errors import MemberInvalid
from loader.image import assemble
from loader.selection import Selection
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.storage.index import Snapshot
from registry.storage.store import Image, Store
from registry.text import encodable


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a member has become: an image whose blobs are in place, a reason why there is none, or nothing wanted."""

    path: str
    size: int
    reference: Reference | None = None
    image: Image | None = None
    error: str | None = None
    platforms: frozenset[str] = frozenset()
    """For which the member has an image, wanted or not, if some platforms are selected."""
    brought: frozenset[Digest] = frozenset()
    """Blobs of it that the store did not have before; of a member that is known nobody knows."""
    end: int = 0
    """Where the next member begins in the bundle's tar."""
    is_known: bool = False
    """It needed no reading: an earlier load did."""

    @classmethod
    def of(cls, archive: Archive, store: Store, selection: Selection) -> Self:
        """What a settled archive has become.

        Raises:
            StorageError: the disk refuses.
        """
        made = cls(archive.path, archive.size, platforms=archive.platforms, end=archive.end)
        if archive.is_excluded:
            return replace(made, reference=selection.name(archive.path))
        try:
            image = assemble(archive, store, selection)
        except (MemberInvalid, OCIError) as error:
            return replace(made, error=str(error))
        admitted = image if selection.admits(image.reference) else None
        return replace(made, reference=image.reference, image=admitted, brought=frozenset(archive.brought))

    def to_row(self) -> bytes:
        """For the index; blobs are left out, for it has them."""
        image = None if self.image is None else [str(self.image.root), [*map(_manifest, self.image.manifests)]]
        reference = None if self.reference is None else str(self.reference)
        path = self.path.encode("utf-8", "surrogateescape").decode("latin-1")
        error = None if self.error is None else encodable(self.error)
        return orjson.dumps([path, self.size, reference, image, error, sorted(self.platforms)])

    @classmethod
    def from_row(cls, row: bytes, snapshot: Snapshot, *, is_known: bool) -> Self:
        """What `to_row` made this of; where the index lacks one of its blobs by now, that is the error."""
        path, size, reference, image, error, platforms = orjson.loads(row)
        name = path.encode("latin-1").decode("utf-8", "surrogateescape")
        named = None if reference is None else Reference.parse(reference)
        made = cls(name, size, named, error=error, platforms=frozenset(platforms), is_known=is_known)
        if named is None or image is None:
            return made
        root, manifests = image
        parsed = tuple(map(_parsed, manifests))
        needed = {blob.digest: blob for _, manifest in parsed for blob in manifest.blobs}
        found = {digest: snapshot.blob(digest) for digest in needed}
        lost = [digest for digest, blob in found.items() if blob is None]
        if lost:
            return replace(made, error=f"blob {lost[0]} is gone from the store: load again")
        blobs = tuple(blob for blob in found.values() if blob is not None)
        return replace(made, image=Image(named, Digest.parse(root), parsed, blobs))


def _manifest(entry: tuple[Digest, Manifest]) -> tuple[str, str, str]:
    """Its bytes have to come back as they are, in whatever encoding."""
    digest, manifest = entry
    return str(digest), manifest.media_type, manifest.body.decode("latin-1")


def _parsed(entry: tuple[str, str, str]) -> tuple[Digest, Manifest]:
    digest, media_type, body = entry
    return Digest.parse(digest), Manifest.parse(body.encode("latin-1"), media_type)
