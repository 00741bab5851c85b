"""What a machine without k0rdentd needs to become a worker: k0s, the registry's CA, containerd's files, a script."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from installer.binary import EmbeddedBinary, FileBinary, K0sSource
from installer.bundle import bundled_k0s
from installer.host import Host
from installer.joining import CA_FILE, ExportedFile
from installer.k0s import installed_version
from installer.paths import CONTAINERD_DROPIN, K0S
from installer.remote import Remote
from installer.settings import Settings
from installer.settings_types import K0sVersion
from installer.site import Wishes, find_k0s
from installer.steps.containerd import dropin, hosts, hosts_file
from registry.verification import Verification

_SCRIPT = 0o755


def worker_files(settings: Settings, registry: Remote, version: K0sVersion) -> list[ExportedFile]:
    """All but k0s itself; etc/ is as it will be on the worker."""
    upstreams = (*settings.airgap.mirrors, registry.address)
    mirrors = [
        ExportedFile(str(hosts_file(upstream)).lstrip("/"), hosts(upstream, registry.address)) for upstream in upstreams
    ]
    return [
        ExportedFile(CA_FILE, registry.ca or b""),
        ExportedFile(str(CONTAINERD_DROPIN).lstrip("/"), dropin(version)),
        *mirrors,
        ExportedFile("install-worker.sh", _template("install-worker.sh"), _SCRIPT),
        ExportedFile("README.md", _template("worker-README.md")),
    ]


@contextmanager
def worker_k0s(
    host: Host, settings: Settings, registry: Remote, bundle: Path | None, folder: Path, proof: Verification
) -> Iterator[K0sSource]:
    """The bundle's k0s; else the one of this host, or before an installation the one that it would take.

    `folder` is where the bundle's has room.

    Raises:
        SourceUnusable: there is none.
    """
    if bundle is not None:
        with bundled_k0s(host, bundle, folder, proof) as binary:
            yield binary
        return
    version = installed_version(host)
    if version is None:
        yield find_k0s(host, settings, Wishes(embedded=EmbeddedBinary.find()), registry)
    else:
        yield FileBinary(host.at(K0S), K0sVersion.parse(version))


def _template(name: str) -> bytes:
    return files("installer").joinpath("templates", name).read_bytes()
