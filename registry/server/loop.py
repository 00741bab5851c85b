"""The loop of a worker: it never waits for a client or for the disk, and lends to threads what takes time.

It knows who is connected, and whose turn it is; what is said on a connection is its subclass's.
"""

import errno
import logging
import math
import os
import resource
import select
import signal
import socket
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from gunicorn.workers.base import Worker

from registry.server.arbiter import RETIRE
from registry.server.connection import Connection
from registry.server.counters import Gauge, Tally

# A client that neither sends nor takes a byte for this long is gone. A transfer that moves may last for ever.
IDLE_SECONDS = 60
# A stopping worker waits so long for who has announced nothing.
STOP_SECONDS = 2.0
_SWEEP_SECONDS = 1.0
# Descriptors that a worker needs for itself: the index, sockets, its threads' files.
_OWN_FILES = 64
# A thread that takes a body waits for its client, so more of them cost memory alone.
_BODY_THREADS = 4
_ONE_WAKES = select.EPOLLIN | select.EPOLLEXCLUSIVE
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# New connections at a turn, most of them TLS handshakes: a thousand clients that come at once should not hold up
# those who are there.
_GREETINGS = 4

Attention = Callable[[Connection], None]

_log = logging.getLogger(__name__)


class Loop(Worker):  # type: ignore[misc]  # gunicorn is not typed
    """Serves connections until it is told to stop, then lets those in flight finish."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: dict[int, Connection] = {}
        self._ready: deque[Connection] = deque()
        """Those that go on at the next turn, whatever epoll says."""
        self._returned: deque[Connection] = deque()
        """Those that a thread has done with."""
        self._swept = 0.0
        self.tally = Tally()  # the registry's arbiter gives one that all processes see
        self._ends_at = math.inf
        """When, on the monotonic clock, a stop is over, whoever still gets bytes."""
        self.idle_seconds = getattr(self.app, "idle_seconds", IDLE_SECONDS)

    def init_process(self) -> None:
        """Settings change no more: as attributes they cost nothing, and gunicorn looks 20 of them up for a request."""
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._room = _room(self.cfg.worker_connections, most)
        self._threads = ThreadPoolExecutor(self.cfg.threads, "request")
        self._body_threads = ThreadPoolExecutor(self.cfg.threads * _BODY_THREADS, "body")
        self._epoll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        super().init_process()

    def init_signals(self) -> None:
        """Ctrl-C reaches the whole process group: the arbiter alone acts on it, and drains."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(RETIRE, self.handle_retire)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, RETIRE})  # blocked by the arbiter at our birth

    def handle_exit(self, sig: int, frame: object) -> None:
        self.alive = False
        self._ends_at = min(self._ends_at, time.monotonic() + self.cfg.graceful_timeout)

    def handle_retire(self, sig: int, frame: object) -> None:
        """Others serve from now on: a transfer that moves may take for ever here too."""
        self.alive = False

    def run(self) -> None:
        """Serve until a signal says otherwise, or the arbiter is gone."""
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._epoll.register(self.PIPE[0], select.EPOLLIN)  # a signal wakes the loop
        self._listeners: dict[int, socket.socket] = {}
        self._listen()
        self.tally.show(Gauge.SERVING, 1)
        while self.alive and self.ppid == os.getppid():
            self._turn(_SWEEP_SECONDS)
        self._stop()

    # What is said on a connection

    @abstractmethod
    def hear(self, connection: Connection) -> None:
        """The client sent something, or can take something."""

    @abstractmethod
    def go_on(self, connection: Connection) -> None:
        """Its turn has come, whatever the client did."""

    @abstractmethod
    def take_back(self, connection: Connection) -> None:
        """A thread has done with it."""

    # Whose turn it is

    def _turn(self, patience: float) -> None:
        greetings = 0
        for file, _ in self._epoll.poll(0 if self._ready or self._returned else patience):
            connection = self._connections.get(file)
            if connection is not None:
                is_new = connection.greets or not connection.is_known
                greetings += is_new
                if greetings <= _GREETINGS or not is_new:  # the others are told of again
                    self._attend(connection, self.hear)
            elif file in self._listeners:
                self._accept(self._listeners[file])
            else:
                _drain(file)
        while self._returned:
            self._attend(self._returned.popleft(), self.take_back)
        for _ in range(len(self._ready)):
            connection = self._ready.popleft()
            connection.is_queued = False
            self._attend(connection, self.go_on)
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._sweep()

    def _listen(self) -> None:
        for listener in self.sockets:
            listener.setblocking(False)
            self._listeners[listener.fileno()] = listener
            # One worker wakes up for a new connection, not all of them.
            self._epoll.register(listener.fileno(), _ONE_WAKES)

    def _step_back(self, file: int) -> None:
        """Behind the other workers: the kernel wakes the first that waits, which would be the same one for ever."""
        self._epoll.unregister(file)
        self._epoll.register(file, _ONE_WAKES)

    def _stop_listening(self) -> None:
        for file in self._listeners:
            self._epoll.unregister(file)
        self._listeners.clear()

    def _sweep(self) -> None:
        """Close the connections of those who are gone; listen again where there is room again."""
        self.notify()  # not at each turn: the arbiter waits for many seconds
        self._swept = now = time.monotonic()
        for connection in list(self._connections.values()):
            if connection.deadline < now and not connection.is_lent:
                self.close(connection)
        self.tally.show(Gauge.CONNECTIONS, len(self._connections))
        self.tally.show(Gauge.REQUESTS, sum(each.request is not None for each in self._connections.values()))
        if self.alive and not self._listeners and len(self._connections) < self._room:
            self._listen()

    def _stop(self) -> None:
        """To be refused is better than to be accepted and never answered: the listeners close first."""
        self._stop_listening()
        self.tally.show(Gauge.SERVING, 0)
        for listener in self.sockets:
            listener.close()
        now = time.monotonic()
        for connection in self._connections.values():
            if connection.request is None and not connection.received:
                connection.deadline = min(connection.deadline, now + STOP_SECONDS)
        while self._connections and time.monotonic() < self._ends_at:
            self._turn(0.2)
            if self.ppid != os.getppid():
                self.handle_exit(signal.SIGTERM, None)
        for connection in self._connections.values():
            self._count_cut(connection)
        for threads in (self._threads, self._body_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    # Who is connected

    def _accept(self, listener: Any) -> None:
        try:
            sock, client = listener.sock.accept()
            address = _usual(client[0]), client[1]
            connection = Connection(sock, address, time.monotonic() + self.idle_seconds)
        except OSError as error:  # another worker has it, or it is gone
            if error.errno in _FULL:  # epoll would tell of it again at once, and for as long as it lasts
                _log.warning("no connection is accepted for a moment: %s", error)
                self._stop_listening()
            return
        self._connections[connection.file] = connection
        self._step_back(listener.fileno())
        self._attend(connection, self._welcome)
        if len(self._connections) >= self._room:
            self._stop_listening()

    def _welcome(self, connection: Connection) -> None:
        self.watch(connection, select.EPOLLIN)

    def watch(self, connection: Connection, events: int) -> None:
        if connection.watched == events:
            return
        if not events:
            self._epoll.unregister(connection.file)
        elif connection.watched:
            self._epoll.modify(connection.file, events)
        else:
            self._epoll.register(connection.file, events)
        connection.watched = events

    def close(self, connection: Connection) -> None:
        if self._connections.get(connection.file) is connection:
            del self._connections[connection.file]
            self._count_cut(connection)
        connection.close()  # which epoll notices

    def _count_cut(self, connection: Connection) -> None:
        if connection.request is not None:
            self.tally.cut(connection.request, connection.answer)

    def _attend(self, connection: Connection, attention: Attention) -> None:
        """One client's connection, without harm to the others."""
        if connection.sock.fileno() < 0:
            return
        try:
            attention(connection)
        except OSError as error:
            _log.debug("%s: cut short: %s", connection.client[0], error)
            self.close(connection)
        except Exception:  # noqa: BLE001  # the other connections are to be served on
            _log.exception("%s: cut short", connection.client[0])
            self.close(connection)

    def queue(self, connection: Connection) -> None:
        """Let it go on at the next turn, once: a second place in the queue would be a larger share."""
        if not connection.is_queued:
            connection.is_queued = True
            self._ready.append(connection)

    # Threads

    def lend(self, connection: Connection, work: Attention, threads: ThreadPoolExecutor | None = None) -> None:
        self.watch(connection, 0)
        connection.is_lent = True
        (threads or self._threads).submit(self._work, connection, work)

    def _work(self, connection: Connection, work: Attention) -> None:
        try:
            work(connection)
        except OSError as error:
            _log.debug("%s: cut short: %s", connection.client[0], error)
            connection.is_broken = True
        except Exception:  # noqa: BLE001  # else nobody would hear of it
            _log.exception("%s: cut short", connection.client[0])
            connection.is_broken = True
        finally:
            self._returned.append(connection)
            os.eventfd_write(self._alarm, 1)


def _room(wanted: int, files: int) -> int:
    """How many connections there may be: each has a socket, and perhaps a file that it is sent."""
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, (files - _OWN_FILES) // 2))


def _drain(file: int) -> None:
    with suppress(BlockingIOError):
        os.read(file, 4096)


def _usual(address: str) -> str:
    """An IPv4 client of a socket that listens on IPv6 too is told by its own address."""
    rest = address.removeprefix("::ffff:")
    return address if ":" in rest else rest
