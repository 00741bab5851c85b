"""Repository names and tags (distribution-spec, "Pulling manifests": the two regular expressions)."""

import re
from dataclasses import dataclass
from typing import Self

from registry.oci.digest import Digest
from registry.oci.errors import NameInvalid, TagInvalid

# The specification asks for <= 255 with the host before it; an LMDB key (511 bytes) holds
# the name, a separator and a tag (128) or two packed digests.
NAME_LENGTH = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class RepositoryName(str):
    """A legal repository name, such as `k0sproject/k0s`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The only way from text.

        Raises:
            NameInvalid: the text is no repository name.
        """
        if len(text) > NAME_LENGTH or not _NAME.fullmatch(text):
            raise NameInvalid(f"{text[:160]!r}: lower-case letters, digits and single separators, up to 255 characters")
        return cls(text)


class Tag(str):
    """A legal tag, such as `v1.32.8-k0s.0`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The only way from text.

        Raises:
            TagInvalid: the text is no tag.
        """
        if not _TAG.fullmatch(text):
            raise TagInvalid(f"{text[:160]!r}: letters, digits, '_', '.' and '-', up to 128 characters")
        return cls(text)


TagOrDigest = Tag | Digest


def parse_tag_or_digest(text: str) -> TagOrDigest:
    """A tag or a digest; a colon decides, for a tag cannot hold one.

    Raises:
        DigestInvalid: there is a colon, and the text is no digest.
        TagInvalid: there is none, and the text is no tag.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A repository and a tag in it: the name an image goes by."""

    repository: RepositoryName
    tag: Tag

    @classmethod
    def parse(cls, text: str) -> Self:
        """`repository:tag` from text; the last colon splits.

        Raises:
            NameInvalid: the part before the colon is no repository name.
            TagInvalid: the part behind it is no tag, or there is none.
        """
        repository, _, tag = text.rpartition(":")
        return cls(RepositoryName.parse(repository), Tag.parse(tag))

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"
