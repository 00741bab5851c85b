"""What there is to do, as a table of contents: one list of steps for each kind of node, and one for the way back."""

from collections.abc import Sequence

from installer.credentials import CloudCredentials
from installer.plan import Step
from installer.site import ControllerSite, Site
from installer.steps.containerd import Mirrors
from installer.steps.files import ChartFile, ClusterConfig, K0sBinary, RegistrySecret
from installer.steps.k0rdent import K0rdentRuns
from installer.steps.preload import Preload
from installer.steps.removal import FilesBack, K0sGone
from installer.steps.service import Service
from installer.steps.trust import Distrust, Trust

_ARGUMENTS = ("--enable-worker", "--no-taints")


def node(site: Site, token: str | None) -> list[Step]:
    """Whatever node it is; without a token it joins nothing, so it is the first one."""
    if not isinstance(site, ControllerSite):
        return worker(site, token or "")
    return first_controller(site) if token is None else controller(site, token)


def first_controller(site: ControllerSite) -> list[Step]:
    """The node that a cluster begins with, and on it k0rdent."""
    k0rdent = site.settings.k0rdent
    return [
        *controller(site),
        K0rdentRuns(site.k0rdent_version, k0rdent.helm.namespace, k0rdent.helm.timeout.total_seconds()),
        CloudCredentials(k0rdent.credentials, k0rdent.helm.namespace),
    ]


def controller(site: ControllerSite, token: str | None = None) -> list[Step]:
    """A node that also runs the cluster's control plane; with a token it joins one."""
    return [
        *_registry(site),
        K0sBinary(site.k0s),
        *_k0rdent_files(site),
        ClusterConfig(site.k0s_config),
        *_preload(site),
        Service("controller", site.k0s.version, _ARGUMENTS, site.k0s_config, site.ca, token),
    ]


def worker(site: Site, token: str) -> list[Step]:
    """A node that joins a cluster to work for it."""
    return [
        *_registry(site),
        K0sBinary(site.k0s),
        *_preload(site),
        Service("worker", site.k0s.version, ca=site.ca, token=token),
    ]


def removal(*, force: bool) -> list[Step]:
    """No k0s, and files as they were."""
    return [K0sGone(), Distrust(), FilesBack(force)]


def _registry(site: Site) -> Sequence[Step]:
    """What a node needs to pull from the registry; nothing where there is internet."""
    if site.registry is None or site.ca is None:
        return ()
    mirrors = Mirrors(site.registry.address, site.settings.airgap.mirrors, site.k0s.version)
    return (Trust(site.ca), mirrors)


def _k0rdent_files(site: ControllerSite) -> Sequence[Step]:
    if site.ca is None or site.chart is None:
        return ()
    return (RegistrySecret(site.ca, site.settings.k0rdent.helm.namespace), ChartFile(site.chart))


def _preload(site: Site) -> Sequence[Step]:
    if site.registry is None or not site.settings.airgap.images.preload:
        return ()
    return (Preload(site.registry.address, site.k0s.version),)
