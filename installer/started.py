"""With what k0s was started last, as the installation wrote it down: what this node has become."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from installer.errors import WillNot
from installer.host import Host
from installer.journal import has_begun_k0s
from installer.k0s import has_state, installed_role
from installer.paths import STARTED_WITH
from installer.settings import Join
from installer.settings_types import K0sVersion

TOKEN_FILE = "--token-file"  # noqa: S105  # an option
_NOTHING = sha256(b"").hexdigest()
_NODES = {
    ("controller", False): "the controller that a cluster began with",
    ("controller", True): "a controller that joined a cluster",
    ("worker", True): "a worker of a cluster",
}


@dataclass(frozen=True, slots=True)
class Started:
    """A node: its role and k0s, whether it joined others, and whether its images come from the internet."""

    role: str
    version: K0sVersion
    has_joined: bool
    is_online: bool

    @classmethod
    def of(cls, host: Host) -> Self | None:
        """As of the end of the last installation; None where none has come so far, or nobody can read it any more."""
        try:
            said = json.loads(host.read(STARTED_WITH) or b"")
            return cls(
                str(said["role"]),
                K0sVersion.parse(said["version"]),
                TOKEN_FILE in said["arguments"],
                said["ca"] == _NOTHING,
            )
        except (ValueError, KeyError, TypeError):
            return None  # 'install' writes it anew


def is_in_cluster(host: Host) -> bool:
    """Whether this node has become a part of its cluster, so that it needs no token; `k0s reset` ends that."""
    return host.look(STARTED_WITH) is not None and has_state(host)


def check_node(host: Host, join: Join | None) -> None:
    """Know that the configuration is for the node that this host has become, or began to become.

    Raises:
        WillNot: it is for another one, which would take this one out of its cluster.
    """
    wanted = ("controller", False) if join is None else (join.mode, True)
    started, role = Started.of(host), installed_role(host)
    if started is not None:
        here = (started.role, started.has_joined)
    elif role in (None, wanted[0]) or not has_begun_k0s(host):
        return
    else:
        here = (str(role), role == "worker")
    if here != wanted:
        raise WillNot(
            f"this machine is {_NODES[here]}, and the configuration would make it {_NODES[wanted]}: name the one "
            "that it was installed with (-c FILE, and --join if it joined), or 'k0rdentd uninstall' first"
        )
