"""A site to install, on a machine that is a folder: hosts, charts and trees of files for tests."""

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import yaml

from installer.binary import FileBinary
from installer.chart import Chart
from installer.cluster_config import ChartPlace, cluster_config
from installer.host import Host
from installer.paths import CHARTS
from installer.remote import Remote
from installer.settings import Settings
from installer.settings_types import K0sVersion
from installer.site import ControllerSite
from installer.steps.k0rdent import running_release
from installer.values import airgap_values
from tests.installer.standin.machine import Machine

REGISTRY = "192.0.2.10:5000"
ADDRESS = "192.0.2.10"
CA = b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUTESTTESTTEST\n-----END CERTIFICATE-----\n"
# What a machine does by itself while it runs; an installation neither makes it nor has to take it away.
_ITS_OWN = ("standin", "run")


def host_of(machine: Machine) -> Host:
    """The machine with what every Debian has, looked at often: nothing takes long on it."""
    trusted = machine.root / "etc/ssl/certs/ca-certificates.crt"
    if not trusted.exists():
        trusted.parent.mkdir(parents=True)
        trusted.touch()
        (machine.root / "usr/local/share/ca-certificates").mkdir(parents=True)
        (machine.root / "etc/systemd/system/multi-user.target.wants").mkdir()
    return Host(machine.root, machine.environment, pace=0.01)


@cache
def chart_archive(name: str = "k0rdent-enterprise", version: str = "1.2.3", *, nested: bool = True) -> bytes:
    """A chart as Helm packs it."""
    dependencies = [{"name": "kcm-regional", "version": version, "alias": "regional"}] if nested else []
    document = {"apiVersion": "v2", "name": name, "version": version, "dependencies": dependencies}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        content = yaml.safe_dump(document).encode()
        member = tarfile.TarInfo(f"{name}/Chart.yaml")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def site(machine: Machine, version: str = "1.32.8", **sections: object) -> ControllerSite:
    """What an airgapped installation would find out; `sections` are those of the configuration file."""
    few = {"airgap": {"mirrors": ["quay.io", "docker.io"]}}
    settings = Settings.model_validate(few | sections)
    chart = Chart.parse(chart_archive(), "here")
    place = ChartPlace(str(CHARTS / chart.file_name), chart.version, airgap_values(REGISTRY, nested=chart.nested))
    return ControllerSite(
        settings=settings,
        address=ADDRESS,
        k0s=k0s(machine, version),
        registry=Remote(REGISTRY, CA),
        chart=chart,
        k0s_config=cluster_config(settings, ADDRESS, REGISTRY, place),
        k0rdent_version=chart.version,
    )


def online(whole: ControllerSite) -> ControllerSite:
    """The same where there is internet."""
    place = ChartPlace("oci://registry.example/charts/k0rdent-enterprise", "1.2.3", {})
    config = cluster_config(whole.settings, whole.address, None, place)
    return replace(whole, registry=None, chart=None, k0s_config=config)


def k0s(machine: Machine, version: str) -> FileBinary:
    """A k0s that an operator brought."""
    file = machine.root.parent / f"k0s-{version}"
    file.write_bytes(machine.k0s_program(version))
    file.chmod(0o755)
    return FileBinary(file, K0sVersion.parse(version))


def running_version(host: Host) -> str:
    """Of k0rdent."""
    release = running_release(host)
    assert release is not None
    return release.text("spec", "version")


def tree(root: Path) -> dict[str, str]:
    """Every file, folder and link with its mode, and a digest of what is in it."""
    return dict(_entries(root, root))


def _entries(root: Path, folder: Path) -> Iterator[tuple[str, str]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = Path(entry.path)
        name = str(path.relative_to(root))
        if name in _ITS_OWN:
            continue
        mode = f"{entry.stat(follow_symlinks=False).st_mode:o}"
        if entry.is_symlink():
            yield name, f"link to {path.readlink()}"
        elif entry.is_dir():
            yield name, f"folder {mode}"
            yield from _entries(root, path)
        else:
            yield name, f"file {mode} {sha256(path.read_bytes()).hexdigest()}"
