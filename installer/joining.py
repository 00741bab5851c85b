"""What another machine needs to join the cluster of this controller: a configuration, a token, the registry's CA."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from installer.cluster_config import installed_config, part
from installer.errors import WillNot
from installer.host import Host
from installer.k0s import ROLES, Status
from installer.paths import K0S, REGISTRY_CA
from installer.settings import Settings
from installer.site import installed_chart

CA_FILE = "registry-ca.crt"
_PRIVATE, _PUBLIC = 0o600, 0o644
_README = """\
To make another machine a node of the cluster of {server}:

    scp -r {folder} NODE:
    ssh NODE
    cd {folder}
    sudo k0rdentd -c worker.yaml install {online}--join --mode worker

or, for one more controller, with controller.yaml and --mode controller.

The tokens work for {expiry}. Whoever has them can join the cluster: remove them everywhere afterwards. Keep the rest on
the machine: to upgrade k0s there, 'k0rdentd -c worker.yaml upgrade k0s' wants it again.
"""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of an export."""

    name: str
    content: bytes = field(repr=False)
    mode: int = _PUBLIC


def join_files(
    host: Host, settings: Settings, folder: str, server: str, expiry: str, registry_port: int | None
) -> list[ExportedFile]:
    """All files of a folder by which machines join, with tokens that expire.

    Raises:
        WillNot: this machine is no controller that others can join.
        CommandFailed: k0s makes no token.
    """
    status = Status.of(host)
    if status is None or status.role != "controller":
        raise WillNot("k0s does not run here as a controller, and only a controller can let others join: run it there")
    shared = _shared(host, status.version, registry_port, settings)
    ca = host.read(REGISTRY_CA) if "airgap" in shared else None
    files = [ExportedFile(CA_FILE, ca)] if ca else []
    for role in ROLES:
        own = _controller(host, settings) if role == "controller" else {}
        joining = {"join": {"mode": role, "server": server, "tokenFile": f"{role}-token"}}
        document = _merged(shared, own) | joining
        files += [
            ExportedFile(f"{role}.yaml", yaml.safe_dump(document, sort_keys=False).encode(), _PRIVATE),
            ExportedFile(f"{role}-token", _token(host, role, expiry), _PRIVATE),
        ]
    online = "" if "airgap" in shared else "--online "
    readme = _README.format(server=server, folder=folder, online=online, expiry=expiry)
    return [*files, ExportedFile("README", readme.encode())]


def write_files(host: Host, folder: Path, files: list[ExportedFile], *, overwrite: bool) -> None:
    """Write an export into a folder; a new one is one that others cannot look into, and any other stays as it is.

    Raises:
        WillNot: one of the files is there already.
    """
    there = [file.name for file in files if host.look(folder / file.name) is not None]
    if there and not overwrite:
        raise WillNot(f"{folder} has {', '.join(there)} already: use --overwrite, or name another folder")
    if host.look(folder) is None:
        host.make_folder(folder, 0o700)
    for file in files:
        host.write(folder / file.name, (file.content,), file.mode)


def _token(host: Host, role: str, expiry: str) -> bytes:
    text = host.call((str(K0S), "token", "create", "--role", role, "--expiry", expiry))
    return f"{text.strip()}\n".encode()


def _shared(host: Host, version: str, registry_port: int | None, settings: Settings) -> dict[str, object]:
    """What every node has to know; the registry is the one that this cluster was told of."""
    document: dict[str, object] = {"k0s": {"version": version}}
    registry = part(installed_config(host), "spec", "images", "repository")
    if isinstance(registry, str):
        address, _, port = registry.rpartition(":")
        access = {"address": f"{address}:{registry_port or port}", "caFile": CA_FILE}
        said = _said(settings)["airgap"]
        document["airgap"] = {key: said[key] for key in ("mirrors", "images") if key in said} | {"registry": access}
    return document


def _controller(host: Host, settings: Settings) -> dict[str, object]:
    """What controllers have to say alike: one that knew of no chart would take k0rdent away when it leads."""
    said = _said(settings)
    k0s = said["k0s"]
    own = {"version"}
    document: dict[str, object] = {key: value for key, value in k0s.items() if key not in own}
    document["api"] = {key: value for key, value in _mapping(k0s.get("api")).items() if key != "address"}
    storage = settings.k0s.storage
    source = storage.kine.data_source
    kine = {"kine": {"dataSource": source.get_secret_value()}} if source else {}
    document["storage"] = {"type": storage.type} | kine
    version = installed_chart(host)
    if version is None:  # another controller would take the newest, and bring that to the cluster when it leads
        raise WillNot("k0rdent's installation has not come to an end here: 'k0rdentd install' goes on with it")
    k0rdent = {key: value for key, value in said["k0rdent"].items() if key == "helm"}
    return {"k0s": document, "k0rdent": k0rdent | {"version": version}}


def _said(settings: Settings) -> dict[str, dict[str, object]]:
    """What the configuration file says, section by section."""
    said = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {section: _mapping(said.get(section)) for section in ("k0s", "k0rdent", "airgap")}


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}


def _merged(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    return {key: _mapping(one.get(key)) | _mapping(other.get(key)) for key in (*one, *other)}
