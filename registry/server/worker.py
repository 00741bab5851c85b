"""The worker class: a loop that never waits for a client or for the disk, and threads for what takes time.

Most requests are one look-up and one small answer: the loop gives it on the spot, without the two
switches between threads that cost more than the answer. Uploads, listings and passwords go to a
thread. Files are sent by the loop, as far as a client takes them, so that ten thousand slow clients
cost ten thousand file descriptors and no thread; what is not in the page cache is sent from a thread.
"""

import errno
import logging
import math
import os
import re
import resource
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.base import Worker

from registry.server import access_log
from registry.server.answer import Answer, refusal, run
from registry.server.arbiter import RETIRE
from registry.server.connection import Connection, Sent
from registry.server.counters import Gauge, Tally
from registry.server.request import HEAD_LIMIT, Incomplete, Request, environ
from registry.server.transport import Transport

# A client that neither sends nor takes a byte for this long is gone. A transfer that moves may last for ever.
IDLE_SECONDS = 60
# A stopping worker waits so long for who has announced nothing.
_STOP_SECONDS = 2.0
# Whoever is still sending what nobody reads gets so long to see the answer (RFC 9112 section 9.6).
_LINGER_SECONDS = 2.0
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
_REFUSALS = {
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}

_PINGS = frozenset(("/v2/", "/v2", "/healthz", "/readyz"))
_ONE_THING = re.compile(r"^/v2/.+/(?:manifests|blobs)/[^/%]+$")

Attention = Callable[[Connection], None]

_SPEAK_TLS = ParseException("this port speaks HTTPS; --plain-http of the registry says who may use HTTP")

_log = logging.getLogger(__name__)


class RegistryWorker(Worker):  # type: ignore[misc]  # gunicorn is not typed
    """Serves requests until it is told to stop, then lets those in flight finish."""

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
        self._idle_seconds = getattr(self.app, "idle_seconds", IDLE_SECONDS)
        self._transport: Transport = getattr(self.app, "transport", Transport())

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

    # The loop

    def _turn(self, patience: float) -> None:
        self.notify()
        greetings = 0
        for file, _ in self._epoll.poll(0 if self._ready or self._returned else patience):
            connection = self._connections.get(file)
            if connection is not None:
                is_new = connection.greets or not connection.is_known
                greetings += is_new
                if greetings <= _GREETINGS or not is_new:  # the others are told of again
                    self._attend(connection, self._hear)
            elif file in self._listeners:
                self._accept(self._listeners[file])
            else:
                _drain(file)
        while self._returned:
            self._attend(self._returned.popleft(), self._take_back)
        for _ in range(len(self._ready)):
            connection = self._ready.popleft()
            connection.is_queued = False
            self._attend(connection, self._go_on)
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
        self._swept = now = time.monotonic()
        for connection in list(self._connections.values()):
            if connection.deadline < now and not connection.is_lent:
                self._close(connection)
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
                connection.deadline = min(connection.deadline, now + _STOP_SECONDS)
        while self._connections and time.monotonic() < self._ends_at:
            self._turn(0.2)
            if self.ppid != os.getppid():
                self.handle_exit(signal.SIGTERM, None)
        for connection in self._connections.values():
            self._count_cut(connection)
        for threads in (self._threads, self._body_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    # A connection

    def _accept(self, listener: Any) -> None:
        try:
            sock, client = listener.sock.accept()
            connection = Connection(sock, client[:2], time.monotonic() + self._idle_seconds)
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
        self._watch(connection, select.EPOLLIN)

    def _watch(self, connection: Connection, events: int) -> None:
        if connection.watched == events:
            return
        if not events:
            self._epoll.unregister(connection.file)
        elif connection.watched:
            self._epoll.modify(connection.file, events)
        else:
            self._epoll.register(connection.file, events)
        connection.watched = events

    def _close(self, connection: Connection) -> None:
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
            self._close(connection)
        except Exception:  # noqa: BLE001  # the other connections are to be served on
            _log.exception("%s: cut short", connection.client[0])
            self._close(connection)

    def _hear(self, connection: Connection) -> None:
        """The client sent something, or can take something."""
        if connection.is_queued:  # it has not used up what it sent before
            return
        if connection.answer is not None:
            self._send(connection)
            return
        if not connection.is_known and not self._meet(connection):
            return
        if connection.greets:
            self._greet(connection)
            return
        if not connection.is_asking and not connection.is_lingering:  # the head of a request has so long in all
            connection.is_asking = True
            connection.deadline = time.monotonic() + self._idle_seconds
        has_ended, before = not connection.fill(), connection.received
        self._go_on(connection)
        # Of who will send nothing more, what has come is answered before the end.
        if has_ended and connection.answer is None and connection.received == before and not connection.is_lent:
            self._close(connection)

    def _meet(self, connection: Connection) -> bool:
        """HTTPS and HTTP come in by one port: the first byte tells which. Whether it may go on."""
        speaks_tls = connection.speaks_tls()
        if speaks_tls is None:
            return False
        connection.is_known = True
        if speaks_tls and self._transport.certificates is not None:
            connection.start_tls(self._transport.certificates.context())
        elif not self._transport.takes_plain(connection.client[0]):
            self._refuse(connection, _SPEAK_TLS)
            return False
        return True

    def _greet(self, connection: Connection) -> None:
        """A handshake has so long in all."""
        waits_to_write = connection.greet()
        self._watch(connection, select.EPOLLOUT if waits_to_write else select.EPOLLIN)
        if not connection.greets:
            connection.deadline = time.monotonic() + self._idle_seconds

    def _go_on(self, connection: Connection) -> None:
        """With its answer, if it has one, and else with the request that has come."""
        if connection.is_lent:
            return
        if connection.answer is not None:
            self._send(connection)
        elif connection.received:
            self._begin(connection)

    # A request

    def _begin(self, connection: Connection) -> None:
        try:
            request = connection.parse(self.cfg)
        except Incomplete:
            if len(connection.received) > HEAD_LIMIT:
                self._refuse(connection, LimitRequestHeaders("the head of the request does not end"))
        except ParseException as error:
            self._refuse(connection, error)
        else:
            if _is_quick(request):
                connection.answer = self._run(connection, request)
                self._send(connection)
            else:
                self._lend(connection, self._answer_in_thread, self._body_threads if request.has_body else None)

    def _refuse(self, connection: Connection, error: ParseException) -> None:
        _log.debug("%s: no request: %s", connection.client[0], error)
        connection.answer = refusal(_REFUSALS.get(type(error), HTTPStatus.BAD_REQUEST), str(error))
        self._send(connection)

    def _run(self, connection: Connection, request: Request) -> Answer:
        try:
            found = environ(request, connection.client, connection.server)
            answer = run(self.wsgi, found, request, closes=not self.alive)
        except Exception:  # noqa: BLE001  # the application answers for its own faults: this is one of the server
            _log.exception("%s %s", request.method, request.path)
            return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed: its log tells why")
        connection.user = found.get("REMOTE_USER", "")
        return answer

    def _send(self, connection: Connection) -> None:
        if connection.is_cold():
            self._lend(connection, self._send_in_thread)
            return
        connection.send()
        self._sent(connection)

    def _sent(self, connection: Connection) -> None:
        connection.deadline = time.monotonic() + self._idle_seconds
        if connection.sent is Sent.ALL:
            self._finish(connection)
        elif connection.sent is Sent.WHAT_FITS:
            self._watch(connection, select.EPOLLOUT)
        else:
            self._queue(connection)

    def _queue(self, connection: Connection) -> None:
        """Let it go on at the next turn, once: a second place in the queue would be a larger share."""
        if not connection.is_queued:
            connection.is_queued = True
            self._ready.append(connection)

    def _finish(self, connection: Connection) -> None:
        answer, request = connection.answer, connection.request
        if answer is not None:
            self.tally.answered(request, answer, time.monotonic() - connection.started)
        if request is not None and answer is not None and access_log.is_wanted():
            access_log.write(connection.client, request, answer, connection.user, connection.started)
        connection.finish_request()
        if answer is not None and answer.closes:
            connection.say_end()
            if request is not None and request.is_read and not connection.received:
                self._close(connection)
            else:
                self._linger(connection)
            return
        self._watch(connection, select.EPOLLIN)
        connection.deadline = time.monotonic() + (self.cfg.keepalive if self.alive else _STOP_SECONDS)
        if connection.received:
            self._queue(connection)

    def _linger(self, connection: Connection) -> None:
        """To close while bytes come that nobody has read would take the answer back from the client."""
        connection.is_lingering = True
        connection.received = b""  # a request behind the last one is none
        connection.deadline = time.monotonic() + _LINGER_SECONDS
        self._watch(connection, select.EPOLLIN)

    # Threads

    def _lend(self, connection: Connection, work: Attention, threads: ThreadPoolExecutor | None = None) -> None:
        self._watch(connection, 0)
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

    def _answer_in_thread(self, connection: Connection) -> None:
        request = connection.request
        assert request is not None
        connection.sock.settimeout(self._idle_seconds)
        request.unreader.may_wait = True
        if request._expected_100_continue:  # noqa: SLF001  # gunicorn keeps it so
            connection.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.answer = self._run(connection, request)
        connection.sock.setblocking(False)

    def _send_in_thread(self, connection: Connection) -> None:
        connection.send()

    def _take_back(self, connection: Connection) -> None:
        connection.is_lent = False
        if connection.is_broken:
            self._close(connection)
        elif connection.sent is Sent.ALL:
            self._go_on(connection)
        else:
            self._sent(connection)


def _is_quick(request: Request) -> bool:
    """One look-up answers it: no body, no listing, no password to be hashed."""
    return (
        request.method in ("GET", "HEAD")
        and not request.has_body
        and (request.path in _PINGS or _ONE_THING.search(request.path) is not None)
        and not any(name == "AUTHORIZATION" and value[:6].lower() == "basic " for name, value in request.headers)
    )


def _room(wanted: int, files: int) -> int:
    """How many connections there may be: each has a socket, and perhaps a file that it is sent."""
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, (files - _OWN_FILES) // 2))


def _drain(file: int) -> None:
    with suppress(BlockingIOError):
        os.read(file, 4096)
