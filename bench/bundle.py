"""What a bundle is asked to be, and what a loader must make of it."""

from dataclasses import asdict, dataclass
from typing import Literal

import orjson

Form = Literal["tar.gz", "tgz", "tar", "tar.zst", "dir"]
Kind = Literal["image", "chart", "artifact", "docker-archive"]


@dataclass(frozen=True, slots=True)
class BundleSpec:
    """Everything a bundle depends on; equal specs give equal bytes."""

    size: int
    """Bytes of the outer tar before compression; broken members come on top."""
    seed: int = 1
    version: str = "1.2.3"
    leading_folder: bool = False
    broken: bool = False
    images: int | None = None
    """How many image members; by default as many as the size warrants."""
    nested: bool = True
    """Whether one image has an index within its index, which `skopeo copy -a` cannot push."""

    @property
    def folder(self) -> str:
        """What stands in front of every member's name."""
        return f"airgap-bundle-{self.version}/" if self.leading_folder else ""


@dataclass(frozen=True, slots=True)
class Member:
    """A good archive: where it stands (below the leading folder), and what the registry must serve."""

    path: str
    kind: Kind
    repository: str
    tag: str
    size: int
    digest: str | None
    """Of the manifest or index the tag names; none for a docker-archive, which the loader converts."""
    diff_ids: tuple[str, ...] = ()
    """The digests of its unpacked layers, for a docker-archive."""
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrokenMember:
    """A member that must fail, and fail alone."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a correct loader ends up with."""

    version: str
    size: int
    """Bytes of the outer tar."""
    members: tuple[Member, ...]
    strays: tuple[str, ...]
    broken: tuple[BrokenMember, ...]
    blobs: int
    """Distinct configs and layers of the good members, the docker-archive apart."""
    blob_bytes: int
    manifests: int
    """Distinct manifests and indexes, likewise."""

    def to_json(self) -> str:
        """The whole of it as JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2).decode()
