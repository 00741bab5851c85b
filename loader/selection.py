"""Which images of a bundle are wanted, and under which prefix."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from loader.errors import MemberInvalid
from loader.naming import possible_references, reference_for
from registry.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Selection:
    """Globs over `repository:tag`: without `include` all are wanted, and `exclude` has the last word."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: str = ""

    def admits(self, reference: Reference) -> bool:
        """Whether this image is wanted."""
        name = str(reference)
        included = not self.include or any(fnmatchcase(name, glob) for glob in self.include)
        return included and not any(fnmatchcase(name, glob) for glob in self.exclude)

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
