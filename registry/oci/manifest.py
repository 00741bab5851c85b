"""Manifests: image manifests, indexes, their Docker twins and artifacts (image-spec, manifest.md, image-index.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from registry.oci import mediatype
from registry.oci.descriptor import Descriptor, as_list, as_object, parse_annotations, text_field
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid

# What a manifest may have unless the operator says more; registries should take 4 MB ("Pushing Manifests").
SIZE_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as it was pushed, with what the registry needs to know of it."""

    body: bytes
    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str | None
    annotations: Mapping[str, str]

    @classmethod
    def parse(cls, body: bytes, media_type: str | None = None) -> Self:
        """From the bytes and the media type they came under; without one, what the document says of itself decides.

        Raises:
            ManifestInvalid: not JSON, no supported type, or one that its own mediaType field contradicts.
            DigestInvalid: a descriptor's digest is malformed or unsupported.
        """
        fields = _load(body)
        kind = _media_type(fields, media_type)
        is_image = kind in mediatype.IMAGE_TYPES
        _refuse_two_readings(fields, is_image=is_image)
        subject = fields.get("subject")
        return cls(
            body=body,
            media_type=kind,
            config=Descriptor.parse(fields.get("config")) if is_image else None,
            layers=_descriptors(fields, "layers"),
            manifests=_descriptors(fields, "manifests"),
            subject=None if subject is None else Descriptor.parse(subject),
            artifact_type=text_field(fields, "artifactType"),
            annotations=parse_annotations(fields),
        )

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs it needs: config, distributable layers, and what an index lists that is no manifest."""
        layers = tuple(layer for layer in self.layers if mediatype.is_distributable(layer.media_type))
        others = tuple(child for child in self.manifests if child.media_type not in mediatype.MANIFEST_TYPES)
        return (*layers, *others) if self.config is None else (self.config, *layers)

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The manifests that an index lists."""
        return tuple(child for child in self.manifests if child.media_type in mediatype.MANIFEST_TYPES)

    def descriptor(self, digest: Digest) -> Descriptor:
        """What the referrers API says of this manifest (distribution-spec, "Listing Referrers")."""
        artifact_type = self.artifact_type
        if artifact_type is None and self.config is not None:
            artifact_type = self.config.media_type
        return Descriptor(self.media_type, digest, len(self.body), artifact_type, self.annotations)


def load_json(body: bytes) -> object:
    """A JSON value, or ManifestInvalid; deep nesting and unreadable numbers are bad input too."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid("the document is not JSON") from error


def _load(body: bytes) -> dict[str, object]:
    fields = as_object(load_json(body), "manifest")
    if fields.get("schemaVersion") != 2:
        raise ManifestInvalid(f"schemaVersion is {str(fields.get('schemaVersion'))[:20]}, and must be 2")
    return fields


def _media_type(fields: Mapping[str, object], pushed: str | None) -> str:
    said = text_field(fields, "mediaType")
    if pushed and said and pushed != said:
        raise ManifestInvalid(f"sent as {pushed[:160]!r}, and says of itself {said[:160]!r}")
    kind = pushed or said or _detect(fields)
    if kind not in mediatype.MANIFEST_TYPES:
        raise ManifestInvalid(f"media type {kind[:160]!r} is not a manifest's")
    return kind


def _detect(fields: Mapping[str, object]) -> str:
    """Legal OCI documents may leave mediaType out; `manifests` tells an index."""
    if "manifests" in fields:
        return mediatype.OCI_INDEX
    if "config" in fields or "layers" in fields:
        return mediatype.OCI_MANIFEST
    raise ManifestInvalid("no mediaType, and neither manifests, config nor layers")


def _refuse_two_readings(fields: Mapping[str, object], *, is_image: bool) -> None:
    """A document that is an image to one client and an index to another must not pass (CVE-2021-41190)."""
    for key in ("manifests",) if is_image else ("config", "layers"):
        if fields.get(key) is not None:
            raise ManifestInvalid(f"an {'image manifest' if is_image else 'index'} must not have {key!r}")


def _descriptors(fields: Mapping[str, object], key: str) -> tuple[Descriptor, ...]:
    return tuple(Descriptor.parse(item) for item in as_list(fields, key))
