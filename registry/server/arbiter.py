"""The process above the workers: gunicorn's arbiter, with a reload that cuts nobody off, and words for systemd."""

import logging
import signal
import subprocess
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from registry.oci.errors import Failure
from registry.program import again
from registry.server.counters import SLOTS, Event
from registry.server.notify import Notifier, silent

RETIRE = signal.SIGUSR2
"""A worker that gets it takes no new client, and lets transfers take their time."""


class RegistryArbiter(Arbiter):  # type: ignore[misc]  # gunicorn is not typed
    """Keeps a loader beside its workers; SIGINT drains as SIGTERM does.

    SIGHUP: new workers with new settings first; once one of them serves, the old ones retire. Settings
    that will not do change nothing. SIGUSR2: a new program, with the same sockets, beside this one.
    """

    loader: subprocess.Popen[bytes] | None = None

    def __init__(self, app: Any) -> None:
        self._notifier = Notifier.from_environment()
        self._tally = app.counters.tally(0)
        self._last_old = 0
        """Workers up to this age have settings of before the last reload."""
        self._retired: set[int] = set()
        """The ages of workers that were told to retire."""
        self._owes_ready = True
        super().__init__(app)
        program = again()
        self.START_CTX.update({0: program[0], "args": program})

    def start(self) -> None:
        """By itself gunicorn calls itself ready before a worker is, and knows nothing of our TLS."""
        log = logging.getLogger("gunicorn.error")
        if self.app.certificates is not None:
            log.addFilter(_say_https)
        with silent():
            super().start()
        log.removeFilter(_say_https)

    def handle_int(self) -> None:
        self.handle_term()

    def handle_hup(self) -> None:
        if len(self.WORKERS) + self.num_workers >= SLOTS:
            self.log.error("not reloaded: workers of earlier reloads still end their transfers: try again later")
            return
        try:
            self.app.read_again()
        except Failure as error:
            self._refuse_reload(str(error))
            return
        except Exception as error:  # noqa: BLE001  # gunicorn would end, and everybody's transfers with it
            self._refuse_reload(repr(error))
            return
        self._notifier.reloading()
        self.reload()

    def reload(self) -> None:
        """From now on every new worker has the new settings; `manage_workers` does the rest."""
        self.app.reload()
        self.setup(self.app)
        self._last_old = self.worker_age
        self._owes_ready = True
        self._tally.event(Event.RELOADED)

    def _refuse_reload(self, reason: str) -> None:
        self._tally.event(Event.RELOAD_FAILED)
        self.log.setup(self.cfg)
        self.log.error("not reloaded, going on as before: %s", reason)

    def manage_workers(self) -> None:
        """As many workers as there shall be, besides those that only end their transfers."""
        workers = sorted(self.WORKERS.values(), key=lambda worker: worker.age)
        current = [worker for worker in workers if worker.age > self._last_old]
        surplus = current[: max(0, len(current) - self.num_workers)]
        if any(worker.tally.serves for worker in current):
            surplus += [worker for worker in workers if worker.age <= self._last_old]
        for worker in surplus:
            self._retire(worker)
        for _ in range(self.num_workers - len(current)):
            self.spawn_worker()

    def _retire(self, worker: Any) -> None:
        """Told once: a worker that is ending already would die of the signal."""
        if worker.age not in self._retired:
            self._retired.add(worker.age)
            self.kill_worker(worker.pid, RETIRE)

    def spawn_worker(self) -> int:
        """A worker that is told to stop before it listens to signals hears it when it does."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, RETIRE})
        try:
            worker: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._tally.event(Event.WORKER_STARTED)
        return worker

    def murder_workers(self) -> None:
        """Called at every turn of the loop."""
        super().murder_workers()
        if self.master_pid:  # the program before this one still speaks to systemd, which listens to no other
            return
        current = (worker for worker in self.WORKERS.values() if worker.age > self._last_old)
        if self._owes_ready and any(worker.tally.serves for worker in current):
            self._owes_ready = False
            self._notifier.send("READY=1", f"STATUS=serving with {self.num_workers} workers")
        self._notifier.ping()

    def reap_workers(self) -> None:
        """Called at every turn of a stop. One that cannot begin is no reason to end those who serve."""
        self._reap_loader()
        try:
            super().reap_workers()
        except HaltServer as error:
            if not any(worker.tally.serves for worker in self.WORKERS.values()):
                raise
            self.log.error("a worker cannot begin, the others go on: %s", error.reason)  # noqa: TRY400  # it told why
        self._notifier.ping()

    def _reap_loader(self) -> None:
        """First, or gunicorn takes its exit code. A load tells of its end for itself, unless it was killed."""
        if self.loader is not None and (code := self.loader.poll()) is not None:
            self.loader = None
            if code < 0:
                reason = signal.Signals(-code).name
                self.log.error("the load of the bundle was killed (%s): 'k0rdentd load' goes on with it", reason)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop, or leave the service to the program that took over."""
        self._notifier.send(f"MAINPID={self.reexec_pid}" if self.reexec_pid else "STOPPING=1")
        if self.loader is not None:
            self.loader.send_signal(signal.SIGTERM)
        super().halt(reason, exit_status)


def _say_https(record: logging.LogRecord) -> bool:
    if record.args and record.msg.startswith("Listening at"):
        where, *rest = record.args
        record.args = (str(where).replace("http://", "https://"), *rest)
    return True
