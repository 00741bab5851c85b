"""Nodes that are folders: what an installation writes for containerd, and a containerd that obeys it."""

from pathlib import Path

from installer.host import Host
from installer.paths import CONTAINERD_DROPIN, CONTAINERD_HOSTS, REGISTRY_CA
from installer.plan import apply, plan
from installer.settings import DEFAULT_MIRRORS
from installer.settings_types import K0sVersion
from installer.steps.containerd import Mirrors
from registry.storage.store import Store
from tests.e2e.containerd import Containerd, config_version
from tests.images import publish, small_image

# What the registry has, and what nodes ask for.
ASKED = {
    "k0sproject/coredns:1.12.2": ("quay.io/k0sproject/coredns:1.12.2",),
    "pause:3.9": ("registry.k8s.io/pause:3.9",),
    "busybox:1": ("docker.io/library/busybox:1",),
    "fluxcd/flux-cli:v2": ("ghcr.io/fluxcd/flux-cli:v2",),
}


def stock(folder: Path) -> dict[str, str]:
    """A new store with an image of every upstream; gives the digest by the name that a node asks for."""
    store = Store.open([folder])
    made: dict[str, str] = {}
    for name, asked in ASKED.items():
        digest = publish(store, small_image(name.replace("/", "-").replace(":", "-")), name)
        made |= dict.fromkeys(asked, str(digest))
    store.close()
    return made


def worker(folder: Path, address: str) -> Host:
    """A node with the files of a worker of the site whose registry has this address, for the containerd at hand."""
    host = Host(folder)
    version = K0sVersion.parse({2: "1.32.8", 3: "1.36.3"}[config_version()])
    for _ in apply(host, plan(host, [Mirrors(address, DEFAULT_MIRRORS, version)])):
        pass
    return host


def dropin_of(node: Host, folder: Path) -> str:
    """The very drop-in of the node, for a containerd that lives in `folder`."""
    return node.at(CONTAINERD_DROPIN).read_text().replace(str(CONTAINERD_HOSTS), f"{folder}/certs.d")


def obey(daemon: Containerd, node: Host, ca: Path) -> None:
    """Give containerd the very files of the node; only the CA lies elsewhere, as the node is a folder."""
    for file in node.at(CONTAINERD_HOSTS).glob("*/hosts.toml"):
        copy = daemon.folder / "certs.d" / file.parent.name / file.name
        copy.parent.mkdir(parents=True)
        copy.write_text(file.read_text().replace(str(REGISTRY_CA), str(ca)))
