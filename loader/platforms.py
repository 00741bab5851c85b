"""What of an archive is for the selected platforms, known as soon as its documents are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loader.layout import INDEX, Layout, blob_documents, read_layout
from loader.selection import Selection, is_platform
from registry.oci.descriptor import as_list, as_object, text_field
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import load_json
from registry.oci.mediatype import IMAGE_CONFIGS


@dataclass(frozen=True, slots=True)
class Wanted:
    """The blobs to take, None for all of them; `is_excluded` if the archive is for other platforms alone."""

    blobs: frozenset[Digest] | None
    there: frozenset[str]
    """The platforms for which the archive has an image, wanted or not, in so far as they are to be told."""
    is_excluded: bool = False


# What BuildKit says of an attestation in an index.
_ATTESTATION = "unknown/unknown"
_TOLD, _LONGEST = 16, 64


def select(documents: Mapping[str, bytes], selection: Selection) -> Wanted:
    """What is wanted of an archive, whose documents these are.

    Raises:
        MemberInvalid: the documents are no image, or not one.
        OCIError: one of them is not what it should be.
    """
    if INDEX in documents:
        return _select_layout(read_layout(documents, selection), blob_documents(documents), selection)
    platform = _docker_platform(documents)
    there = _told((platform,), selection)
    return Wanted(None, there) if selection.wants(platform) else Wanted(frozenset(), there, is_excluded=True)


def _select_layout(layout: Layout, documents: Mapping[Digest, bytes], selection: Selection) -> Wanted:
    manifests = layout.manifests.values()
    own = {
        digest: _platform(documents.get(manifest.config.digest))
        for digest, manifest in layout.manifests.items()
        if manifest.config is not None and manifest.config.media_type in IMAGE_CONFIGS
    }
    listed = [child.platform for manifest in manifests for child in manifest.children]
    there = _told((*own.values(), *listed), selection)
    root = layout.manifests[layout.root]
    is_other = layout.root in own and not selection.wants(own[layout.root])
    if is_other or (root.manifests and all(manifest.config is None for manifest in manifests)):
        return Wanted(frozenset(), there, is_excluded=True)
    return Wanted(frozenset(blob.digest for manifest in manifests for blob in manifest.blobs), there)


def _told(platforms: Iterable[str | None], selection: Selection) -> frozenset[str]:
    """Those of them that are wanted, and a few of the others: whoever made the archive may have written anything."""
    found = {each for each in platforms if each and each != _ATTESTATION}
    missing = selection.missing(found)
    others = sorted(each for each in found if len(each) < _LONGEST and is_platform(each))
    return frozenset((*(each for each in selection.platforms if each not in missing), *others[:_TOLD]))


def _docker_platform(documents: Mapping[str, bytes]) -> str | None:
    """Of a docker-archive; None where it is not plain, which reading it for good will tell."""
    try:
        listed = load_json(documents["manifest.json"])
        entry = as_object(listed[0] if isinstance(listed, list) and listed else None, "entry of manifest.json")
        as_list(entry, "Layers")
    except (KeyError, OCIError):
        return None
    return _platform(documents.get(str(entry.get("Config"))))


def _platform(config: bytes | None) -> str | None:
    """What an image's config says it is for."""
    if config is None:
        return None
    fields = as_object(load_json(config), "config")
    parts = [text_field(fields, key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part) if all(parts[:2]) else None
