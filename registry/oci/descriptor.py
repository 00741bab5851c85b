"""Descriptors: what a manifest says of the content it points to (image-spec, descriptor.md)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid
from registry.oci.mediatype import is_media_type

_LARGEST = 2**63 - 1
_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed, sized pointer to content; `size` is in bytes."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: str | None = None
    """`os/architecture` or `os/architecture/variant`."""

    @classmethod
    def parse(cls, document: object) -> Self:
        """From a JSON value; unknown fields are ignored, as the specification demands.

        Raises:
            ManifestInvalid: a required field is missing or not of its type.
            DigestInvalid: the digest is malformed or of an unsupported algorithm.
        """
        fields = as_object(document, "descriptor")
        digest = text_field(fields, "digest")
        if digest is None:
            raise ManifestInvalid("a descriptor has no digest")
        return cls(
            media_type=_required_media_type(fields),
            digest=Digest.parse(digest),
            size=_size(fields),
            artifact_type=text_field(fields, "artifactType"),
            annotations=parse_annotations(fields),
            platform=_platform(fields),
        )

    def to_json(self) -> dict[str, object]:
        """The JSON object, without the fields that are not set."""
        document: dict[str, object] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


def as_object(document: object, what: str) -> dict[str, object]:
    """`document` as a JSON object.

    Raises:
        ManifestInvalid: it is something else.
    """
    if not isinstance(document, dict):
        raise ManifestInvalid(f"the {what} is not a JSON object")
    return document


def as_list(fields: Mapping[str, object], key: str) -> list[object]:
    """The JSON array under `key`, empty where there is none or null.

    Raises:
        ManifestInvalid: it is something else.
    """
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ManifestInvalid(f"{key!r} is not a JSON array")
    return value


def text_field(fields: Mapping[str, object], key: str) -> str | None:
    """The text under `key`, None where there is none, null or nothing in it.

    Raises:
        ManifestInvalid: it is not text, or not text that UTF-8 can carry.
    """
    value = fields.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _is_unicode(value):
        raise ManifestInvalid(f"{key!r} is not text")
    return value


def parse_annotations(fields: Mapping[str, object]) -> Mapping[str, str]:
    """The annotations, empty where there are none.

    Raises:
        ManifestInvalid: they are not an object of texts.
    """
    value = fields.get("annotations")
    if not value:
        return {}
    annotations = as_object(value, "annotations field")
    for key, text in annotations.items():
        if not isinstance(text, str) or not _is_unicode(key + text):
            raise ManifestInvalid(f"annotation {key[:80]!r} is not text")
    return {key: str(text) for key, text in annotations.items()}


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can carry it: JSON's escapes can spell half a surrogate pair."""
    return text.isascii() or _HALF_A_PAIR.search(text) is None


def _required_media_type(fields: Mapping[str, object]) -> str:
    media_type = text_field(fields, "mediaType")
    if media_type is None or not is_media_type(media_type):
        raise ManifestInvalid(f"a descriptor has no valid mediaType ({str(media_type)[:80]!r})")
    return media_type


def _size(fields: Mapping[str, object]) -> int:
    size = fields.get("size")
    # bool is an int in Python, and no size in JSON.
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST:
        raise ManifestInvalid(f"a descriptor has no valid size ({str(size)[:80]!r})")
    return size


def _platform(fields: Mapping[str, object]) -> str | None:
    value = fields.get("platform")
    if value is None:
        return None
    platform = as_object(value, "platform field")
    parts = [text_field(platform, key) for key in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part) or None
