"""What of an archive is for the selected platforms, known as soon as its documents are."""

from collections.abc import Mapping
from dataclasses import dataclass

from loader.layout import INDEX, Layout, blob_documents, read_layout
from loader.selection import Selection
from registry.oci.descriptor import as_list, as_object, text_field
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import load_json
from registry.oci.mediatype import IMAGE_CONFIGS


@dataclass(frozen=True, slots=True)
class Wanted:
    """The blobs to take, None for all of them; `is_excluded` if the archive is for other platforms alone."""

    blobs: frozenset[Digest] | None
    is_excluded: bool = False


# What BuildKit says of an attestation in an index.
_ATTESTATION = "unknown/unknown"
_ALL = Wanted(None)
_NOTHING = Wanted(frozenset(), is_excluded=True)


def select(documents: Mapping[str, bytes], selection: Selection) -> Wanted:
    """What is wanted of an archive, whose documents these are.

    Raises:
        MemberInvalid: the documents are no image, or not one.
        OCIError: one of them is not what it should be.
    """
    if INDEX in documents:
        return _select_layout(read_layout(documents, selection), blob_documents(documents), selection)
    return _NOTHING if not selection.wants(_docker_platform(documents)) else _ALL


def platforms_in(documents: Mapping[str, bytes], selection: Selection) -> frozenset[str]:
    """Those for which an archive has an image, wanted or not; none of a chart.

    Raises:
        MemberInvalid, OCIError: as `select` does.
    """
    if INDEX not in documents:
        return frozenset(filter(None, [_docker_platform(documents)]))
    blobs, manifests = blob_documents(documents), read_layout(documents, selection).manifests.values()
    configs = [each.config for each in manifests if each.config is not None]
    own = [_platform(blobs.get(config.digest)) for config in configs if config.media_type in IMAGE_CONFIGS]
    listed = [child.platform for each in manifests for child in each.children]
    return frozenset(each for each in (*own, *listed) if each and each != _ATTESTATION)


def _select_layout(layout: Layout, documents: Mapping[Digest, bytes], selection: Selection) -> Wanted:
    root = layout.manifests[layout.root]
    if root.config is not None and root.config.media_type in IMAGE_CONFIGS:
        if not selection.wants(_platform(documents.get(root.config.digest))):
            return _NOTHING
    elif root.manifests and all(manifest.config is None for manifest in layout.manifests.values()):
        return _NOTHING
    return Wanted(frozenset(blob.digest for each in layout.manifests.values() for blob in each.blobs))


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
