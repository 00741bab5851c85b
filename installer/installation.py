"""From settings and wishes to the steps of an installation."""

from collections.abc import Sequence

from installer import outline
from installer.config import ConfigurationInvalid
from installer.flavor import Flavor
from installer.host import Host
from installer.join_token import read_token
from installer.k0s import installed_version
from installer.plan import Step
from installer.settings import Join, Settings
from installer.site import Site
from installer.started import Started, is_in_cluster
from installer.upgrade import InOrder
from installer.versions import K0sHere
from registry.program import executable


def chosen_join(settings: Settings, mode: str | None, *, join: bool) -> Join | None:
    """How this node is to join; None where it is to be the first one.

    Raises:
        ConfigurationInvalid: settings and command line do not go together.
    """
    if settings.join is None and join:
        raise ConfigurationInvalid(
            "there is no section 'join' in the configuration file: bring one from a controller, "
            "where 'k0rdentd export-join-config' writes it"
        )
    if settings.join is not None and not join:
        raise ConfigurationInvalid("the configuration file has a section 'join': add --join, or take it out")
    if settings.join is not None and mode not in (None, settings.join.mode):
        raise ConfigurationInvalid(f"--mode {mode} contradicts join.mode {settings.join.mode}, which the token is for")
    return settings.join


def install_steps(host: Host, site: Site, joining: Join | None) -> Sequence[Step]:
    """What there is to do for the first controller, or for a node that joins.

    Raises:
        SourceUnusable: the token cannot be read, or is for another node.
    """
    # Once it has joined, the token counts no more, and may be gone.
    token = None if joining is None else "" if is_in_cluster(host) else read_token(joining)
    steps = outline.node(site, token)
    # Over another k0s of ours the order counts, as it does in an upgrade.
    return [InOrder(steps)] if replaces_own(host, site) else steps


def replaces_own(host: Host, site: Site) -> bool:
    """Whether another k0s of our making is here."""
    return K0sHere.of(host).ours and installed_version(host) != site.k0s.version


def is_online(host: Host, settings: Settings) -> bool:
    """As this node was installed; else what this program is for, unless the settings name a bundle or a registry."""
    started = Started.of(host)
    if started is not None:
        return started.is_online
    if settings.airgap.bundle_path is not None or settings.airgap.registry.address is not None:
        return False
    return executable() is not None and not Flavor.current().is_airgap
