"""What can go wrong in a build."""

from registry.oci.errors import Failure


class BuildFailed(Failure):
    """The executable cannot be built."""
