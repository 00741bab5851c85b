"""gunicorn run from our settings: an arbiter, its workers, and the loader beside them."""

import logging
import os
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gunicorn import util
from gunicorn.app.base import BaseApplication

from registry.api.app import RegistryApp
from registry.config import RegistrySettings, logging_config
from registry.oci.errors import Failure
from registry.pki.certificates import Certificates
from registry.server.arbiter import RegistryArbiter
from registry.server.counters import SLOTS, Counters, Tally
from registry.server.housekeeping import start_housekeeping
from registry.server.metrics import Exposition
from registry.server.transport import Transport
from registry.storage.folder import Folder
from registry.storage.index import Index
from registry.wsgi import open_app, open_store

DRAIN_SECONDS = 30
_NICENESS = 10
# What a reload leaves as it is: sockets are bound, the store is open, the loader runs.
_LASTING = {
    "storage": "--storage",
    "host": "--host",
    "port": "--port",
    "bundle": "--bundle-path",
    "background": "--background",
    "pid_file": "--pid-file",
}

_log = logging.getLogger(__name__)


class RegistryServer(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
    """The registry as a gunicorn application."""

    def __init__(
        self, settings: RegistrySettings, read_settings: Callable[[], RegistrySettings], command: Sequence[str]
    ) -> None:
        """`read_settings` is asked for what the settings have become, at every reload; `command` is k0rdentd."""
        self._settings = settings
        self._read_settings = read_settings
        self._command = command
        self.certificates = Certificates.open(settings.tls, settings.storage)
        self.counters = Counters()
        self._started = time.time()
        self._index: Index | None = None
        super().__init__(prog="k0rdentd registry")

    @property
    def transport(self) -> Transport:
        """For the workers."""
        return Transport(self.certificates, self._settings.tls.plain_http)

    @property
    def idle_seconds(self) -> int:
        """For the workers."""
        return self._settings.limits.idle

    def version(self) -> int | None:
        """Of the index: for the workers, to know whether what they answered is still true."""
        return self._index.version() if self._index else None

    def load_config(self) -> None:
        for key, value in gunicorn_options(self._settings).items():
            self.cfg.set(key, value)
        self.cfg.set("when_ready", self._begin)
        self.cfg.set("pre_fork", self._give_slot)
        self.cfg.set("child_exit", _take_slot_back)

    def read_again(self) -> None:
        """Be ready to reload.

        Raises:
            Failure: the settings will not do; nothing has changed.
        """
        fresh = self._read_settings()
        lasting = {name: getattr(self._settings, name) for name in _LASTING}
        changed = [option for name, option in _LASTING.items() if getattr(fresh, name) != lasting[name]]
        settings = replace(fresh, **lasting)
        self.certificates = Certificates.open(settings.tls, settings.storage)
        self._settings = settings
        if changed:
            _log.warning("a reload does not change %s: restart the registry for that", ", ".join(changed))

    def load(self) -> RegistryApp:
        """Called in each worker after the fork: an LMDB environment must not cross one."""
        store = open_store(self._settings)
        self._index = store.index
        if store.index.read_only:
            _log.warning("%s is on a read-only disk: pulls are served, pushes refused", store.layout.root)
        else:
            start_housekeeping(store, self._settings.limits.upload_age, self.certificates)
        metrics = Exposition(store, self.certificates, self.counters.sums, self._started)
        return open_app(self._settings, store, self.certificates, metrics.read)

    def run(self) -> None:
        """Serve until told to stop."""
        if self._settings.background:
            _leave_terminal()
        RegistryArbiter(self).run()

    def _begin(self, arbiter: RegistryArbiter) -> None:
        if self._settings.files is not None:
            _tell_left_out(Folder(self._settings.files))
        self._start_loader(arbiter)

    def _start_loader(self, arbiter: RegistryArbiter) -> None:
        """The loader is a program of its own: it may be killed and started again while this one serves."""
        if self._settings.bundle is not None:
            arbiter.loader = subprocess.Popen([*self._command, "load", *load_arguments(self._settings)])
            os.setpriority(os.PRIO_PROCESS, arbiter.loader.pid, _NICENESS)  # pulls come first

    def _give_slot(self, arbiter: RegistryArbiter, worker: Any) -> None:
        """The first one that no living worker has: what was counted in it goes on."""
        taken = {each.slot for each in arbiter.WORKERS.values()}
        worker.slot = next(slot for slot in range(1, SLOTS) if slot not in taken)
        worker.tally = self.counters.tally(worker.slot)


def _take_slot_back(_: RegistryArbiter, worker: Any) -> None:
    tally: Tally = worker.tally
    tally.leave()


def _leave_terminal() -> None:
    """The log stays where it goes if that is a file. A pipe is let go, or who started us would wait at its end."""
    keeps_log = stat.S_ISREG(os.fstat(2).st_mode)
    if keeps_log:
        os.dup2(2, 1)
    util.daemonize(keeps_log)


def _tell_left_out(folder: Folder) -> None:
    try:
        for name, fault in folder.left_out():
            _log.warning("/files/ leaves out %r: it %s", name, fault)
    except Failure as error:
        _log.warning("/files/ cannot be served: %s", error)


def gunicorn_options(settings: RegistrySettings) -> dict[str, Any]:
    """Gunicorn's settings for ours."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        "bind": f"{host}:{settings.port}",
        "worker_class": "registry.server.worker.RegistryWorker",
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_connections": 4096,
        "backlog": 4096,
        "keepalive": 75,
        "timeout": 120,  # a loop that hangs for so long has lost its disk
        "logconfig_dict": logging_config(settings.log, "registry.logs.UnhurriedHandler"),
        "graceful_timeout": DRAIN_SECONDS,
        "loglevel": settings.log.level,
        "control_socket_disable": True,  # it would be made in the home directory
        "proc_name": "k0rdentd-registry",
        "pidfile": str(settings.pid_file) if settings.pid_file else None,
        # `sendfile` stays unset: gunicorn 27.0.1 turns it off when it is set to True.
    }


def load_arguments(settings: RegistrySettings) -> list[str]:
    """The arguments of `k0rdentd load` that load the daemon's bundle into its store."""
    arguments = [str(settings.bundle), "--progress", "log", *settings.verification.arguments()]
    for root in settings.storage:
        arguments += ["--storage", str(root)]
    return arguments
