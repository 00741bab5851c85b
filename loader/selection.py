"""Which images of a bundle are wanted, and under which prefix."""

from dataclasses import dataclass

from loader.errors import MemberInvalid
from loader.naming import possible_references, reference_for
from registry.oci.reference import Reference
from registry.selection import Globs


@dataclass(frozen=True, slots=True)
class Selection(Globs):
    """What `Globs` admit, under the name that it has with a prefix."""

    prefix: str = ""

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
