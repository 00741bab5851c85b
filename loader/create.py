"""A bundle made of images: one OCI archive each, at the path that stands for its name."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loader.errors import LoaderError, MemberTruncated
from loader.naming import bundle_stem, path_for, path_in_bundle
from loader.packing import ChunkStream, packing, room_for
from loader.stream import Window
from registry.oci.digest import Digest
from registry.oci.reference import Reference
from registry.transfer.export import Archive
from registry.transfer.selection import Named
from registry.transfer.source import Source


@dataclass(frozen=True, slots=True)
class Created:
    """An image that was written, the bytes of its archive, and those that a delta does without."""

    reference: Reference
    size: int
    left_out: int


class ImageUnfit(LoaderError):
    """An image cannot be a member of a bundle."""


@dataclass(frozen=True, slots=True)
class _Member:
    reference: Reference
    archive: Archive
    left_out: int


def create(
    images: Sequence[tuple[Source, Named]], out: Path, known: Collection[Digest] = frozenset()
) -> Iterator[Created]:
    """Write a bundle that appears whole or not at all; `known` blobs are left out, and a load finds them in its store.

    Raises:
        ImageUnfit: an image has no tag, or nothing of it is there.
        TransferError, OCIError, StorageError: a source cannot be read, or gives other bytes than it should.
        ExportFailed: the disk is too small, or refuses.
    """
    members = [_member(source, image, known) for source, image in images]
    size = sum(each.archive.size for each in members)
    room = room_for(len(members), sum(len(each.archive.entries) for each in members))
    with packing(out, room, size) as packed:
        for each in members:
            path = path_in_bundle(path_for(each.reference), bundle_stem(out.name))
            truncated = MemberTruncated(f"the archive of {each.reference} ended early")
            packed.add(path, Window(ChunkStream(each.archive.chunks()), each.archive.size, truncated))
            yield Created(each.reference, each.archive.size, each.left_out)


def _member(source: Source, image: Named, known: Collection[Digest]) -> _Member:
    if image.tag is None:
        raise ImageUnfit(f"{image} has no tag, and a bundle names by repository:tag")
    archive = Archive.collect(source, [image])
    if archive.notes and all(each.is_manifest for each in archive.entries.values()):
        raise ImageUnfit(f"{image} is an index of which nothing is there: copy the image first, or leave it out")
    return _Member(Reference(image.repository, image.tag), archive, archive.leave_out(known))
