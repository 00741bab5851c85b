"""What k0s on this host tells about itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from installer.errors import CommandFailed, NoProgram
from installer.host import Host, Output
from installer.paths import K0S, K0S_STATE

_UNITS = ("/etc/systemd/system/k0s{role}.service", "/etc/init.d/k0s{role}")
ROLES = ("controller", "worker")


@dataclass(frozen=True, slots=True)
class Status:
    """A running k0s; `trouble` is what keeps its kubelet from the API server."""

    version: str
    role: str
    trouble: str | None

    @classmethod
    def of(cls, host: Host) -> Self | None:
        """As `k0s status` tells; None while it does not answer."""
        output = _run(host, "status", "-o", "json")
        if output is None or output.code != 0:
            return None
        try:
            document = json.loads(output.text)
            worker = document.get("WorkerToAPIConnectionStatus") or {}
            connected = not document.get("Workloads") or bool(worker.get("Success"))
            trouble = None if connected else str(worker.get("Message") or "its kubelet has not reached the API server")
            return cls(str(document["Version"]), str(document["Role"]), trouble)
        except (ValueError, KeyError, AttributeError) as error:
            raise CommandFailed(f"'k0s status' tells what nobody understands: {output.text[:200]!r}") from error


def installed_version(host: Host) -> str | None:
    """The version of the executable, such as `v1.32.8+k0s.0`; None where there is none, or it does not run."""
    output = _run(host, "version")
    return None if output is None or output.code != 0 else output.text.strip()


def installed_role(host: Host) -> str | None:
    """As what k0s is a service of this host, running or not."""
    for role in ROLES:
        if any(host.look(Path(unit.format(role=role))) for unit in _UNITS):
            return role
    return None


def is_running(host: Host) -> bool:
    """Whether k0s runs, or its service tries to."""
    if Status.of(host) is not None:
        return True
    role = installed_role(host)
    if role is None or not host.has("systemctl"):
        return False
    return host.run(("systemctl", "is-active", f"k0s{role}")).text.strip() in ("active", "activating", "deactivating")


def has_state(host: Host) -> bool:
    """Whether a k0s has lived here."""
    return host.look(K0S_STATE / "pki") is not None or host.look(K0S_STATE / "kubelet.conf") is not None


def has_peers(host: Host) -> bool:
    """Whether this controller's etcd has others: one that went without a word would count as missing for ever."""
    status = Status.of(host)
    if status is None or status.role != "controller":
        return False
    output = host.run((str(K0S), "etcd", "member-list"))
    members = _members(output.text) if output.code == 0 else {}
    names = {name.lower() for name in members}
    return len(names) > 1 and host.name() in names


def _run(host: Host, *words: str) -> Output | None:
    """What k0s tells; None where there is none, or half of one."""
    try:
        return None if host.look(K0S) is None else host.run((str(K0S), *words))
    except NoProgram:
        return None


def _members(text: str) -> Mapping[str, object]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    members = document.get("members") if isinstance(document, dict) else None
    return members if isinstance(members, dict) else {}
