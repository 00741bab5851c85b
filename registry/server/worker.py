"""The worker class: a loop that never waits for a client or for the disk, and threads for what takes time.

Most requests are one look-up and one small answer: the loop gives it on the spot, without the two
switches between threads that cost more than the answer. Uploads, listings and passwords go to a
thread. Files are sent by the loop, as far as a client takes them, so that ten thousand slow clients
cost ten thousand file descriptors and no thread; what is not in the page cache is sent from a thread.
"""

import logging
import re
import select
import time
from http import HTTPStatus
from typing import Any

from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)

from registry.server import access_log
from registry.server.answer import Answer, refusal, run
from registry.server.connection import Connection, Sent
from registry.server.loop import STOP_SECONDS, Loop
from registry.server.memory import Memory
from registry.server.request import HEAD_LIMIT, Incomplete, Request, environ
from registry.server.transport import Transport

# Whoever is still sending what nobody reads gets so long to see the answer (RFC 9112 section 9.6).
_LINGER_SECONDS = 2.0
_REFUSALS = {
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}

_PINGS = frozenset(("/v2/", "/v2", "/healthz", "/readyz"))
_ONE_THING = re.compile(r"^/v2/.+/(?:manifests|blobs)/[^/%]+$")

_SPEAK_TLS = ParseException("this port speaks HTTPS; --plain-http of the registry says who may use HTTP")
_NOT_FOR_YOU = ParseException("this port is for the registry's own machine; --plain-http says who else may use it")

_log = logging.getLogger(__name__)


class RegistryWorker(Loop):
    """What a client is answered, and when its connection ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transport: Transport = getattr(self.app, "transport", Transport())
        self._memory = Memory(getattr(self.app, "version", _nothing))

    # What the loop asks for

    def hear(self, connection: Connection) -> None:
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
            connection.deadline = time.monotonic() + self.idle_seconds
        has_ended, before = not connection.fill(), connection.received
        self.go_on(connection)
        # Of who will send nothing more, what has come is answered before the end.
        if has_ended and connection.answer is None and connection.received == before and not connection.is_lent:
            self.close(connection)

    def _meet(self, connection: Connection) -> bool:
        """HTTPS and HTTP come in by one port: the first byte tells which. Whether it may go on."""
        speaks_tls = connection.speaks_tls()
        if speaks_tls is None:
            return False
        connection.is_known = True
        if speaks_tls and self._transport.certificates is not None:
            connection.start_tls(self._transport.certificates.context())
        elif not self._transport.takes_plain(connection.client[0]):
            self._refuse(connection, _NOT_FOR_YOU if self._transport.certificates is None else _SPEAK_TLS)
            return False
        return True

    def _greet(self, connection: Connection) -> None:
        """A handshake has so long in all."""
        waits_to_write = connection.greet()
        self.watch(connection, select.EPOLLOUT if waits_to_write else select.EPOLLIN)
        if not connection.greets:
            connection.deadline = time.monotonic() + self.idle_seconds

    def go_on(self, connection: Connection) -> None:
        """With its answer, if it has one, and else with the request that has come."""
        if connection.is_lent:
            return
        if connection.answer is not None:
            self._send(connection)
        elif connection.received:
            self._begin(connection)

    # A request

    def _begin(self, connection: Connection) -> None:
        if self._repeat(connection):
            return
        received = connection.received
        try:
            request = connection.parse(self.cfg)
        except Incomplete:
            if len(connection.received) > HEAD_LIMIT:
                self._refuse(connection, LimitRequestHeaders("the head of the request does not end"))
        except ParseException as error:
            self._refuse(connection, error)
        else:
            if _is_quick(request):
                connection.answer = answer = self._run(connection, request)
                self._memory.keep(received, request, answer)
                self._send(connection)
            else:
                self.lend(connection, self._answer_in_thread, self._body_threads if request.has_body else None)

    def _repeat(self, connection: Connection) -> bool:
        """Answer what was asked and answered before."""
        known = self._memory.find(connection.received) if self.alive else None
        if known is None:
            return False
        try:
            connection.answer = Answer.again(known.recorded)
        except OSError:  # the application knows what to say
            return False
        connection.take_up(known.request)
        self._send(connection)
        return True

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
            self.lend(connection, self._send_in_thread)
            return
        connection.send()
        self._sent(connection)

    def _sent(self, connection: Connection) -> None:
        connection.deadline = time.monotonic() + self.idle_seconds
        if connection.sent is Sent.ALL:
            self._finish(connection)
        elif connection.sent is Sent.WHAT_FITS:
            self.watch(connection, select.EPOLLOUT)
        else:
            self.queue(connection)

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
                self.close(connection)
            else:
                self._linger(connection)
            return
        self.watch(connection, select.EPOLLIN)
        connection.deadline = time.monotonic() + (self.cfg.keepalive if self.alive else STOP_SECONDS)
        if connection.received:
            self.queue(connection)

    def _linger(self, connection: Connection) -> None:
        """To close while bytes come that nobody has read would take the answer back from the client."""
        connection.is_lingering = True
        connection.received = b""  # a request behind the last one is none
        connection.deadline = time.monotonic() + _LINGER_SECONDS
        self.watch(connection, select.EPOLLIN)

    # In a thread

    def _answer_in_thread(self, connection: Connection) -> None:
        request = connection.request
        assert request is not None
        connection.sock.settimeout(self.idle_seconds)
        request.unreader.may_wait = True
        connection.answer = self._run(connection, request)
        connection.sock.setblocking(False)

    def _send_in_thread(self, connection: Connection) -> None:
        connection.send()

    def take_back(self, connection: Connection) -> None:
        connection.is_lent = False
        if connection.is_broken:
            self.close(connection)
        elif connection.sent is Sent.ALL:
            self.go_on(connection)
        else:
            self._sent(connection)


def _nothing() -> None:
    """What is known of the index where gunicorn runs the application by itself."""


def _is_quick(request: Request) -> bool:
    """One look-up answers it: no body, no listing, no password to be hashed."""
    return (
        request.method in ("GET", "HEAD")
        and not request.has_body
        and (request.path in _PINGS or _ONE_THING.search(request.path) is not None)
        and not any(name == "AUTHORIZATION" and value[:6].lower() == "basic " for name, value in request.headers)
    )
