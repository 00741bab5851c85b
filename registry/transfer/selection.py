"""Which images are meant: by name or by digest."""

from dataclasses import dataclass
from typing import Self

from registry.oci.digest import Digest
from registry.oci.errors import TagInvalid
from registry.oci.reference import Reference, RepositoryName, Tag, TagOrDigest, parse_tag_or_digest
from registry.transfer.text import printable


@dataclass(frozen=True, slots=True, order=True)
class Named:
    """An image as it is asked for: by its tag, or by its digest alone."""

    repository: RepositoryName
    reference: TagOrDigest

    @classmethod
    def parse(cls, text: str) -> Self:
        """`repository:tag` or `repository@digest` from text.

        Raises:
            NameInvalid, TagInvalid, DigestInvalid: a part of it is not what it should be.
        """
        repository, at, digest = text.partition("@")
        if at:
            return cls(RepositoryName.parse(repository), Digest.parse(digest))
        if ":" not in text.rpartition("/")[2]:
            raise TagInvalid(f"{printable(text)} names no tag: write {printable(text)}:TAG")
        reference = Reference.parse(text)
        return cls(reference.repository, reference.tag)

    @property
    def tag(self) -> Tag | None:
        """Its tag, if it is asked for by one."""
        return self.reference if isinstance(self.reference, Tag) else None

    def __str__(self) -> str:
        return f"{self.repository}{'@' if self.tag is None else ':'}{self.reference}"


def is_digest(text: str) -> bool:
    """Whether a digest alone is meant; text that looks like one and is none is refused.

    Raises:
        DigestInvalid: it only looks like one.
    """
    return text.startswith(("sha256:", "sha512:")) and isinstance(parse_tag_or_digest(text), Digest)
