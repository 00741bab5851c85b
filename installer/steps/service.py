"""k0s runs as a service, with what it was told last."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from installer.changes import Change, Condition, RemoveFile, Run, Wait, WriteFile, ensure_file
from installer.host import Host
from installer.k0s import ROLES, Status, installed_role, is_running
from installer.paths import CONTAINERD_CONFIG, JOIN_TOKEN, K0S, K0S_CONFIG, K0S_UNITS, STARTED_WITH
from installer.settings_types import K0sVersion
from installer.started import TOKEN_FILE, is_in_cluster
from installer.waiting import NodeReady

_PRIVATE = 0o600
_PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """k0s answers, and its kubelet has reached the API server; more a worker cannot know."""

    def describe(self) -> str:
        return "k0s is connected to its cluster"

    def lacking(self, host: Host) -> str | None:
        status = Status.of(host)
        if status is None:
            return "k0s does not answer yet; 'journalctl -u k0sworker' tells what it does"
        return f"the kubelet is not connected: {status.trouble}" if status.trouble else None


@dataclass(frozen=True, slots=True)
class Service:
    """k0s is a service of this host, runs with this version, configuration and trust, and is ready.

    What it was started with is written down once it was ready, so a host that was left half-way begins again here.
    A token is on the disk only until then: k0s reads it while it has not joined.
    """

    role: str
    version: K0sVersion
    arguments: tuple[str, ...] = ()
    config: bytes | None = field(default=None, repr=False)
    ca: bytes | None = None
    token: str | None = field(default=None, repr=False)
    title: str = "k0s as a service"

    def changes(self, host: Host) -> Iterator[Change]:
        if host.read(STARTED_WITH) != self._fingerprint or installed_role(host) is None:
            yield from self._anew(host)
        elif not is_running(host):
            yield self._run("start", "k0s does not run")
            yield self._wait
        elif self._ready.lacking(host) is not None:
            yield self._wait
        if host.look(JOIN_TOKEN) is not None or self._joins(host):
            yield RemoveFile(JOIN_TOKEN)

    def _anew(self, host: Host) -> Iterator[Change]:
        if self._joins(host) and self.token is not None:
            yield from ensure_file(host, JOIN_TOKEN, self.token.encode(), _PRIVATE, secret=True)
        if self.config is not None:
            yield self._run("config", "k0s takes its configuration", "validate", "-c", str(K0S_CONFIG))
        # If it only tries to run, over and over, it cannot be started then either.
        stops = [self._run("stop", "what it was started with has changed")] if is_running(host) else []
        is_service = installed_role(host) is not None
        # Without its unit, k0s cannot be stopped.
        yield from stops if is_service else ()
        replaces = ("--force",) if is_service else ()
        install = (str(K0S), "install", self.role, *self._said, *replaces)
        yield Run(install, "k0s becomes a service", alters=(K0S_UNITS[ROLES.index(self.role)],))
        yield from () if is_service else stops
        # k0s writes its part of containerd's configuration there, and `k0s reset` leaves it.
        yield Run((str(K0S), "start"), "k0s runs", alters=(CONTAINERD_CONFIG,))
        yield self._wait
        yield WriteFile(STARTED_WITH, self._fingerprint, _PRIVATE)

    def _joins(self, host: Host) -> bool:
        """Whether the token is still needed."""
        return self.token is not None and not is_in_cluster(host)

    @property
    def _said(self) -> tuple[str, ...]:
        config = () if self.config is None else ("-c", str(K0S_CONFIG))
        token = () if self.token is None else (TOKEN_FILE, str(JOIN_TOKEN))
        return (*self.arguments, *config, *token)

    @property
    def _wait(self) -> Wait:
        return Wait(self._ready, _PATIENCE)

    @property
    def _ready(self) -> Condition:
        return WorkerReady() if self.role == "worker" else NodeReady()

    @property
    def _fingerprint(self) -> bytes:
        document = {
            "role": self.role,
            "version": self.version,
            "arguments": self._said,
            "config": sha256(self.config or b"").hexdigest(),
            "ca": sha256(self.ca or b"").hexdigest(),
        }
        return f"{json.dumps(document)}\n".encode()

    def _run(self, verb: str, why: str, *words: str) -> Run:
        return Run((str(K0S), verb, *words), why)
