"""What can go wrong on a host, drawn as a tree; everything ends with exit code 3 unless it says otherwise.

InstallFailed                the host could not be brought to what was asked for; run again to go on
├── HostRefuses              a file or folder cannot be read, written or removed
├── CommandFailed            a program ended with an error, or did not end
│   ├── NoProgram            a program is not there, or is not one that can be started
│   └── ClusterRefuses       the Kubernetes API does not answer, or not as it should; names the object
│       ├── ClusterBusy      not now: the API server, or what it asks itself, is starting or overloaded
│       └── KindUnknown      no such kind yet: what brings it is not installed
├── WaitedInVain             something did not come about in time; says what held it up
├── SourceUnusable           what is to be installed cannot be had, or is not what it should be
└── WillNot                  the host is in a state that an installation must not overwrite
"""

from typing import ClassVar

from registry.oci.errors import Failure


class InstallFailed(Failure):
    """The host is not what was asked for; nothing is half-written, and the same command goes on."""

    exit_code: ClassVar[int] = 3


class HostRefuses(InstallFailed):
    """The operating system refuses an operation on a file."""


class CommandFailed(InstallFailed):
    """A program ended with an error, could not be started, or did not end in time."""


class NoProgram(CommandFailed):
    """There is no such program, or what goes by its name cannot be started."""


class ClusterRefuses(CommandFailed):
    """The Kubernetes API does not answer, or refuses; the sentence names the object."""


class ClusterBusy(ClusterRefuses):
    """The API server, or a webhook that it asks, cannot answer now, and may in a moment."""


class KindUnknown(ClusterRefuses):
    """The cluster does not know this kind of object, or not yet."""


class WaitedInVain(InstallFailed):
    """What was waited for did not come about in time."""


class SourceUnusable(InstallFailed):
    """What is to be installed cannot be fetched, or is not what it should be."""


class WillNot(InstallFailed):
    """Going on would destroy what is not ours; the sentence names the flag that allows it."""
