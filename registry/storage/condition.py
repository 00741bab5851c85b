"""Conditional changes: what must be there for something to be replaced or removed (RFC 9110 section 13)."""

from dataclasses import dataclass

from registry.oci.digest import Digest
from registry.oci.errors import PreconditionFailed


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be there; None asks nothing, `*` stands for anything."""

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None

    def require(self, present: Digest | None) -> None:
        """Raise PreconditionFailed unless the condition holds for what is there now."""
        names = set() if present is None else {"*", str(present)}
        if self.if_match is not None and not names & self.if_match:
            raise PreconditionFailed(f"it is {present or 'not there'}")
        if self.if_none_match is not None and names & self.if_none_match:
            raise PreconditionFailed(f"it is {present}")


UNCONDITIONAL = Condition()
