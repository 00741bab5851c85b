"""gunicorn run from our settings: an arbiter, its workers, and the loader beside them."""

import signal
import subprocess
import sys
from typing import Any

from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from registry.api.app import RegistryApp
from registry.config import RegistrySettings, logging_config
from registry.pki.certificates import Certificates
from registry.server.housekeeping import start_housekeeping
from registry.server.transport import Transport
from registry.wsgi import open_app, open_store

DRAIN_SECONDS = 30


class RegistryArbiter(Arbiter):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's arbiter; it keeps one loader beside its workers, and SIGINT drains as SIGTERM does."""

    loader: subprocess.Popen[bytes] | None = None

    def handle_int(self) -> None:
        self.handle_term()

    def spawn_worker(self) -> int:
        """A worker that is told to stop before it listens to signals hears it when it does."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            worker: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return worker

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        if self.loader is not None:
            self.loader.send_signal(signal.SIGTERM)
        super().halt(reason, exit_status)


class RegistryServer(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
    """The registry as a gunicorn application."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self.certificates = Certificates.open(settings.tls, settings.storage)
        super().__init__(prog="k0rdentd registry")

    @property
    def transport(self) -> Transport:
        """For the workers."""
        return Transport(self.certificates, self._settings.tls.plain_http)

    @property
    def idle_seconds(self) -> int:
        """For the workers."""
        return self._settings.limits.idle

    def load_config(self) -> None:
        for key, value in gunicorn_options(self._settings).items():
            self.cfg.set(key, value)
        self.cfg.set("when_ready", self._start_loader)

    def load(self) -> RegistryApp:
        """Called in each worker after the fork: an LMDB environment must not cross one."""
        store = open_store(self._settings)
        start_housekeeping(store, self._settings.limits.upload_age, self.certificates)
        return open_app(self._settings, store, self.certificates)

    def run(self) -> None:
        """Serve until told to stop."""
        if self._settings.background:
            util.daemonize()
        RegistryArbiter(self).run()

    def _start_loader(self, arbiter: RegistryArbiter) -> None:
        """The loader is a program of its own: it may be killed and started again while this one serves."""
        if self._settings.bundle is not None:
            arbiter.loader = subprocess.Popen(
                [sys.executable, "-m", "installer.command", "load", *load_arguments(self._settings)]
            )


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
        "logconfig_dict": logging_config(settings.log),
        "graceful_timeout": DRAIN_SECONDS,
        "loglevel": settings.log.level,
        "control_socket_disable": True,  # it would be made in the home directory
        "proc_name": "k0rdentd-registry",
        # `sendfile` stays unset: gunicorn 27.0.1 turns it off when it is set to True.
    }


def load_arguments(settings: RegistrySettings) -> list[str]:
    """The arguments of `k0rdentd load` that load the daemon's bundle into its store."""
    arguments = [str(settings.bundle), "--progress", "plain", *settings.verification.arguments()]
    for root in settings.storage:
        arguments += ["--storage", str(root)]
    return arguments
