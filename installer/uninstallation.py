"""What keeps a host from being taken out of use, and what it cannot do for itself on its way out."""

from installer.errors import WillNot
from installer.host import Host
from installer.k0s import Status, has_peers, installed_role, installed_version
from installer.kube import kubectl
from installer.paths import K0S_STATE

_CLUSTERS = "clusterdeployments.k0rdent.mirantis.com"


def check_clusters(host: Host) -> None:
    """Know that no cluster of k0rdent's is left without its manager; where nothing answers, nobody can know.

    Other controllers go on with them, where there are some.

    Raises:
        WillNot: there are some.
    """
    status = Status.of(host)
    if status is None or status.role != "controller" or has_peers(host):
        return
    output = host.run((*kubectl(host), "get", _CLUSTERS, "--all-namespaces", "--output=name"))
    names = output.text.split() if output.code == 0 else []
    if names:
        raise WillNot(
            f"k0rdent manages clusters ({', '.join(name.rpartition('/')[2] for name in names)[:200]}) "
            "which would go on without it: delete them first, or use --force"
        )


def misses_farewell(host: Host) -> bool:
    """Whether this controller goes without a word to others: only k0s itself could take leave of them."""
    is_controller = installed_role(host) == "controller" or host.look(K0S_STATE / "etcd") is not None
    return is_controller and installed_version(host) is None
