"""Which images of a bundle are wanted, of which platforms, and under which prefix."""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass

from loader.errors import MemberInvalid
from loader.naming import possible_references, reference_for
from registry.oci.descriptor import Descriptor
from registry.oci.manifest import Manifest
from registry.oci.reference import Reference
from registry.selection import Globs
from registry.text import encodable

_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")
_USUAL_VARIANT = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_REFERENCE_TYPE = "vnd.docker.reference.type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"


def is_platform(text: str) -> bool:
    """Whether it has the form `os/architecture` or `os/architecture/variant`."""
    return _PLATFORM.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Selection(Globs):
    """What `Globs` admit, under the name that it has with a prefix."""

    prefix: str = ""
    platforms: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether something may be left out."""
        return bool(self.include or self.exclude or self.platforms)

    def to_json(self) -> dict[str, object]:
        """All that decides what a bundle becomes."""
        lists = {key: [encodable(each) for each in getattr(self, key)] for key in ("include", "exclude", "platforms")}
        return {**asdict(self), **lists, "prefix": encodable(self.prefix)}

    def wants(self, platform: str | None) -> bool:
        """Whether content for this platform is wanted; what is for none is, such as a chart."""
        return not self.platforms or platform is None or any(_fits(wanted, platform) for wanted in self.platforms)

    def missing(self, there: Collection[str]) -> tuple[str, ...]:
        """The platforms that are selected, and are none of those that there are."""
        return tuple(wanted for wanted in self.platforms if not any(_fits(wanted, platform) for platform in there))

    def children(self, manifest: Manifest) -> tuple[Descriptor, ...]:
        """The manifests of an index that are wanted; attestations go with the image that they are about."""
        about = {child.digest: _subject(child) for child in manifest.children}
        wanted = {
            str(child.digest)
            for child in manifest.children
            if about[child.digest] is None and self.wants(child.platform)
        }
        return tuple(
            child
            for child in manifest.children
            if not self.platforms or (about[child.digest] or str(child.digest)) in wanted
        )

    def may_admit(self, path: str) -> bool:
        """Whether a member may be wanted, whatever it says of its own version; a path that is no name may."""
        references = possible_references(path, self.prefix)
        return not references or any(self.admits(reference) for reference in references)

    def name(self, path: str) -> Reference | None:
        """The name a member most likely has, None where its path gives no legal one."""
        try:
            return reference_for(path, (), self.prefix)
        except MemberInvalid:
            return None


def _fits(wanted: str, platform: str) -> bool:
    ours, theirs = wanted.split("/"), platform.split("/")
    if ours[:2] != theirs[:2]:
        return False
    usual = _USUAL_VARIANT.get(ours[1], "")
    return len(ours) == 2 or ours[2] == (theirs[2] if len(theirs) > 2 else usual)


def _subject(child: Descriptor) -> str | None:
    """The digest of the image that an attestation is about, as BuildKit notes it."""
    is_attestation = child.annotations.get(_REFERENCE_TYPE) == "attestation-manifest"
    return child.annotations.get(_REFERENCE_DIGEST) if is_attestation else None
