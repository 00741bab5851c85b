"""What can go wrong in a measurement; a slow result is not among it."""

from registry.oci.errors import Failure


class BenchFailed(Failure):
    """A measurement cannot be made, or what it gave cannot be trusted."""
