"""containerd takes from the registry what images say is elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from installer.changes import Change, RemoveFile, ensure_file
from installer.errors import WillNot
from installer.host import Host
from installer.paths import CONTAINERD_CONFIG, CONTAINERD_DROPIN, CONTAINERD_HOSTS, REGISTRY_CA
from installer.settings_types import K0sVersion

# k0s 1.36 brings containerd 2 and refuses to start over a file of version 2; the ones before do not see version 3.
_NEW_FORM = (1, 36)
_K0S_OWN = b"# k0s_managed=true"
_DROPIN = """\
# Written by k0rdentd.
version = {version}
[plugins."{plugin}".registry]
  config_path = "{folder}"
"""
# containerd 1 takes no file without a [host] table; `server` keeps it from asking the upstream itself afterwards, and
# has need of the CA too: else a missing image is told as a certificate that nobody knows.
_HOSTS = """\
# Written by k0rdentd: images of {upstream} come from the registry of this site.
server = "https://{address}"
ca = "{ca}"
[host."https://{address}"]
  capabilities = ["pull", "resolve"]
  ca = "{ca}"
"""


def dropin(version: K0sVersion) -> bytes:
    """What containerd reads, in the form that this k0s wants."""
    new = version.minor >= _NEW_FORM
    plugin = "io.containerd.cri.v1.images" if new else "io.containerd.grpc.v1.cri"
    return _DROPIN.format(version=3 if new else 2, plugin=plugin, folder=CONTAINERD_HOSTS).encode()


def hosts(upstream: str, address: str) -> bytes:
    """What containerd asks in the place of `upstream`."""
    return _HOSTS.format(upstream=upstream, address=address, ca=REGISTRY_CA).encode()


def hosts_file(upstream: str) -> Path:
    """Where that is said; containerd looks a port up behind underscores, and then as it is."""
    return CONTAINERD_HOSTS / upstream / "hosts.toml"


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Images of every upstream, and of the registry itself, come from the registry."""

    address: str
    upstreams: Sequence[str]
    version: K0sVersion
    title: str = "containerd pulls from the registry"

    def changes(self, host: Host) -> Iterator[Change]:
        _require_k0s_own(host)
        wanted = [hosts_file(upstream) for upstream in (*self.upstreams, self.address)]
        for upstream, file in zip((*self.upstreams, self.address), wanted, strict=True):
            yield from ensure_file(host, file, hosts(upstream, self.address))
        yield from self._leave_out(host, wanted)
        # The last one: it is what brings the others into force.
        yield from ensure_file(host, CONTAINERD_DROPIN, dropin(self.version))

    def _leave_out(self, host: Host, wanted: Sequence[Path]) -> Iterator[Change]:
        """Upstreams that are mirrored no more."""
        for folder in host.entries(CONTAINERD_HOSTS):
            file = folder / "hosts.toml"
            if file not in wanted and (host.read(file) or b"").startswith(b"# Written by k0rdentd"):
                yield RemoveFile(file)


def _require_k0s_own(host: Host) -> None:
    """Know that k0s will read drop-ins: it leaves a configuration alone that is not its own.

    Raises:
        WillNot: somebody wrote one.
    """
    content = host.read(CONTAINERD_CONFIG)
    if content is not None and not content.startswith(_K0S_OWN):
        raise WillNot(
            f"{CONTAINERD_CONFIG} is not k0s' own, so containerd would not learn of the registry: move it away, "
            f"and put what it says into a file of {CONTAINERD_DROPIN.parent}"
        )
