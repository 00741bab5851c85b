"""The systemd unit of the registry."""

import pwd
from collections.abc import Sequence
from pathlib import Path

from registry.config import RegistrySettings

_STATE = Path("/var/lib")
_PRIVILEGED = 1024  # ports below it
_LINES = """\
# A systemd unit for the registry, as `k0rdentd registry --print-unit` prints it.
[Unit]
Description=OCI registry of k0rdentd
After=network-online.target
Wants=network-online.target
# The cluster pulls from it when the machine starts.
Before=k0scontroller.service k0sworker.service
RequiresMountsFor={mounts}

[Service]
Type=notify
{before}ExecStart={start}
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
# What is under way gets 30 s.
TimeoutStopSec=45
KillMode=mixed
Restart=on-failure
RestartSec=2
# Settings that will not do now will not do in two seconds.
RestartPreventExitStatus=2
WatchdogSec=60
LimitNOFILE=65536
UMask=0022

# The storage's owner, so that `k0rdentd load` by the same user and the service can write each other's files.
{user}{writable}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
NoNewPrivileges=yes
# To read the bundle, the users and the keys, whoever they belong to.
CapabilityBoundingSet={capabilities}
AmbientCapabilities={ambient}
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# AF_NETLINK: the machine's addresses go into the registry's certificate.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(settings: RegistrySettings, command: Sequence[str], arguments: Sequence[str], *, unpacks: bool = False) -> str:
    """The unit that runs `command` with `arguments`, those that ask for a unit or for the background left out.

    A command that `unpacks` its runtime does so as root and outside of the sandbox, which has nowhere to write it.
    """
    words = [*command, *(word for word in arguments if word not in ("--print-unit", "--background"))]
    roots = [root.absolute() for root in settings.storage]
    user = _owner(roots[0])
    low = ["CAP_NET_BIND_SERVICE"] if settings.port < _PRIVILEGED else []
    before = f"ExecStartPre=+{_line([*command, 'version'])}\n" if unpacks else ""
    return _LINES.format(
        before=before,
        mounts=" ".join(_quoted(str(root)) for root in roots),
        start=_line(words),
        user=f"User={user}\n" if user else "",
        writable="\n".join(_writable(roots, settings.pid_file)),
        capabilities=" ".join(["CAP_DAC_READ_SEARCH", *low]),
        ambient=" ".join(["CAP_DAC_READ_SEARCH", *low]) if user else "",
    )


def _writable(roots: Sequence[Path], pid_file: Path | None) -> list[str]:
    """Below /var/lib systemd makes what is missing; elsewhere it must be there."""
    made = [root for root in roots if root.is_relative_to(_STATE) and root != _STATE]
    lines = [f"StateDirectory={_quoted(str(root.relative_to(_STATE)))}" for root in made]
    others = [root for root in roots if root not in made] + ([pid_file.parent] if pid_file else [])
    return [*lines, *(f"ReadWritePaths={_quoted(str(path))}" for path in others)]


def _owner(root: Path) -> str | None:
    """Who owns the storage, unless that is root."""
    try:
        owner = root.stat().st_uid
        return pwd.getpwuid(owner).pw_name if owner else None
    except (OSError, KeyError):
        return None


def _line(words: Sequence[str]) -> str:
    """A command line, of which systemd is to replace nothing."""
    return " ".join(_quoted(word).replace("$", "$$") for word in words)


def _quoted(word: str) -> str:
    """As systemd reads it back (systemd.syntax(7)); `%` begins one of its own words."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"' if escaped != word or any(each in word for each in " \t';") else escaped
