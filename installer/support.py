"""What somebody who helps needs to see: settings, states and logs, without secrets.

Keys, tokens, Kubernetes' Secrets and the files that replaced files are never read.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from installer.certificates import certificates
from installer.config import ConfigurationInvalid
from installer.doctor import diagnose
from installer.errors import InstallFailed
from installer.host import K0RDENTD, Host, shown
from installer.kube import kubectl
from installer.paths import CONTAINERD_CONFIG, CONTAINERD_HOSTS, K0S, K0S_CONFIG, STARTED_WITH
from installer.preflight.facts import Facts
from installer.redaction import Redactor
from installer.settings import Settings
from installer.settings_credentials import Credential
from installer.status import status

_LONGEST = 8 << 20  # of one part, its end counts
_PATIENCE = 60.0
_UNITS = ("k0rdentd-registry", "k0scontroller", "k0sworker")
_FILES = (
    K0S_CONFIG,
    CONTAINERD_CONFIG,
    STARTED_WITH,
    Path("/etc/os-release"),
    Path("/etc/hosts"),
    Path("/etc/resolv.conf"),
    Path("/proc/meminfo"),
    Path("/proc/mounts"),
    Path("/proc/net/route"),
)
_FOLDERS = (Path("/etc/k0s/containerd.d"), CONTAINERD_HOSTS)
_PROGRAMS: dict[str, Sequence[str]] = {
    "system/uname.txt": ("uname", "-a"),
    "system/disks.txt": ("df", "-h"),
    "system/addresses.txt": ("ip", "address"),
    "system/listeners.txt": ("ss", "-ltnp"),
    "k0s/status.json": (str(K0S), "status", "-o", "json"),
    "k0s/version.json": (str(K0S), "version", "--json"),
}
_OBJECTS: dict[str, Sequence[str]] = {
    "nodes.txt": ("nodes", "-o", "wide"),
    "pods.txt": ("pods", "--all-namespaces", "-o", "wide"),
    "events.txt": ("events", "--all-namespaces", "--sort-by=.lastTimestamp"),
    **{
        f"{kind.partition('.')[0]}.yaml": (kind, "--all-namespaces", "-o", "yaml")
        for kind in (
            "charts.helm.k0sproject.io",
            "managements.k0rdent.mirantis.com",
            "releases.k0rdent.mirantis.com",
            "helmreleases.helm.toolkit.fluxcd.io",
        )
    },
}


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the bundle."""

    name: str
    text: str


def support_bundle(parts: Iterator[Part], redactor: Redactor, folder: str, file: io.BufferedIOBase) -> Iterator[str]:
    """Write the parts, cleaned, into an archive; yields the name of each when it is in it."""
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for part in parts:
            content = redactor.clean(part.text[-_LONGEST:]).encode()
            member = tarfile.TarInfo(f"{folder}/{part.name}")
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
            yield part.name


def known_secrets(settings: Settings) -> Iterator[str]:
    """Every secret of the settings that can be read."""
    for credential in settings.k0rdent.credentials.all:
        for field in type(credential).model_fields:
            if f"{field}_file" in type(credential).model_fields:
                yield from _readable(credential, field)
    if settings.k0s.storage.kine.data_source is not None:
        yield settings.k0s.storage.kine.data_source.get_secret_value()
    if settings.join is not None:
        try:
            yield settings.join.secret_token()
        except OSError:
            return


def _readable(credential: Credential, field: str) -> Iterator[str]:
    try:
        secret = credential.secret(field)
    except OSError:
        return
    if secret is not None:
        yield secret


def collect(host: Host, settings: Settings, facts: Facts, config: Path) -> Iterator[Part]:
    """All parts; what cannot be had is a part that says why."""
    yield from _file(Host(), config, "k0rdentd.yaml")
    yield _json("status.json", lambda: [asdict(each) for each in status(host, settings)])
    yield _json("doctor.json", lambda: [asdict(each) for each in diagnose(host, facts, settings)])
    roots = settings.storage_roots
    yield _json("certificates.json", lambda: [asdict(each) for each in certificates(host, roots)])
    for path in _FILES:
        yield from _file(host, path, f"files{path}")
    for folder in _FOLDERS:
        for path in _below(host, folder):
            yield from _file(host, path, f"files{path}")
    for name, argv in _PROGRAMS.items():
        yield _output(host, name, argv)
    for name, words in _OBJECTS.items():
        yield _output(host, f"cluster/{name}", (*kubectl(host), "get", *words))
    for unit in _UNITS:
        yield _output(host, f"logs/{unit}.status", ("systemctl", "status", "--no-pager", unit))
        yield _output(host, f"logs/{unit}.log", ("journalctl", "--no-pager", "-n", "20000", "-u", unit))
    yield from _store(host, roots)


def _store(host: Host, roots: Sequence[Path]) -> Iterator[Part]:
    there = [part for root in roots if host.look(root) is not None for part in ("-s", str(host.at(root)))]
    for command in (("stats",), ("missing", "--json"), ("ls",)) if there else ():
        argv = (*K0RDENTD, "store", *command, *there)
        yield _output(Host(environment=host.environment), f"store/{command[0]}.txt", argv)


def _below(host: Host, folder: Path) -> Iterator[Path]:
    for path in host.entries(folder):
        found = host.look(path)
        if found is not None and found.kind == "folder":
            yield from _below(host, path)
        elif path.suffix == ".toml":
            yield path


def _file(host: Host, path: Path, name: str) -> Iterator[Part]:
    try:
        content = host.read(path)
    except InstallFailed as error:
        content = f"({error})".encode()
    if content is not None:
        yield Part(name, content.decode(errors="replace"))


def _output(host: Host, name: str, argv: Sequence[str]) -> Part:
    try:
        output = host.run(argv, patience=_PATIENCE)
    except InstallFailed as error:
        return Part(name, f"({error})\n")
    ended = f"({shown(argv)} ended with {output.code})\n" if output.code else ""
    return Part(name, f"{output.text}{output.errors}{ended}")


def _json(name: str, look: Callable[[], list[dict[str, object]]]) -> Part:
    try:
        return Part(name, json.dumps(look(), indent=2, default=str))
    except (InstallFailed, ConfigurationInvalid) as error:
        return Part(name, f"({error})\n")
