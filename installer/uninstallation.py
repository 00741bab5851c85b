"""What keeps a host from being taken out of use."""

from installer.errors import WillNot
from installer.host import Host
from installer.k0s import Status
from installer.paths import K0S

_CLUSTERS = "clusterdeployments.k0rdent.mirantis.com"


def check_clusters(host: Host) -> None:
    """Know that no cluster of k0rdent's is left without its manager; where nothing answers, nobody can know.

    Raises:
        WillNot: there are some.
    """
    status = Status.of(host)
    if status is None or status.role != "controller":
        return
    output = host.run((str(K0S), "kubectl", "get", _CLUSTERS, "--all-namespaces", "--output=name"))
    names = output.text.split() if output.code == 0 else []
    if names:
        raise WillNot(
            f"k0rdent manages {len(names)} clusters ({', '.join(name.rpartition('/')[2] for name in names[:5])}), "
            "which would go on without it: delete them first, or use --force"
        )
