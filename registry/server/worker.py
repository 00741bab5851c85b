"""The worker class: gunicorn's threads, with our response and limits on idle clients."""

import logging
import selectors
import signal
import socket
import struct
import time
from datetime import timedelta
from functools import partial
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.errors import ParseException
from gunicorn.http.wsgi import FileWrapper
from gunicorn.workers.gthread import TConn, ThreadWorker

from registry.server.response import Response

# A client that neither sends nor takes a byte for this long is gone. A transfer that moves may last for ever.
IDLE_SECONDS = 60


class RegistryWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """Serves each request in a thread of its own; a stop lets requests in flight finish."""

    def init_process(self) -> None:
        """Settings change no more: as attributes they cost nothing, and gunicorn looks 20 of them up for a request."""
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def init_signals(self) -> None:
        """Ctrl-C reaches the whole process group: the arbiter alone acts on it, and drains."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # blocked by the arbiter at our birth

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001  # gunicorn's own signature
        """A worker that stops closes its listeners: to be refused is better than to be accepted and never answered."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            for listener in self.sockets:
                listener.close()

    def enqueue_req(self, conn: TConn) -> None:
        """A thread for the connection, once it has sent something: gunicorn's would wait 5 s for the first byte."""
        idle = getattr(self.app, "idle_seconds", IDLE_SECONDS)
        if not conn.initialized and not conn.data_ready and not _has_sent(conn.sock):
            conn.timeout = time.monotonic() + idle
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
            return
        if not conn.initialized:
            _limit_idling(conn.sock, idle)
            conn.data_ready = True
        super().enqueue_req(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """A stop waits no longer for who has sent nothing yet than for who is between two requests."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:  # noqa: FBT001  # gunicorn's own signature
        """A request without a body leaves nothing behind to be drained."""
        if keepalive and getattr(conn.parser.mesg.body.reader, "length", None) == 0:
            return True
        return bool(super()._keepalive_after(conn, keepalive))

    def handle_request(self, req: Any, conn: TConn) -> bool:
        """Answer one request; True where the connection may carry another."""
        started = time.monotonic()
        response, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, response_class=Response)
        environ["wsgi.multithread"] = True
        environ["wsgi.input"] = _Body(environ["wsgi.input"])
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            response.force_close()
        try:
            self._answer(response, environ)
        except Exception:
            if not response.headers_sent:
                raise
            self.log.debug("%s %s: cut short", req.method, req.path, exc_info=True)
            return False  # half a body is on the wire: only closing tells the client
        finally:
            if self.log.access_log.isEnabledFor(logging.INFO):  # collecting its fields costs 10 % of a small answer
                self.log.access(response, req, environ, timedelta(seconds=time.monotonic() - started))
        return not response.should_close()

    def _answer(self, response: Response, environ: dict[str, Any]) -> None:
        body = self.wsgi(environ, response.start_response)
        try:
            if isinstance(body, FileWrapper):
                response.write_file(body)
            else:
                for chunk in body:
                    response.write(chunk)
            response.close()
        finally:
            if hasattr(body, "close"):
                body.close()


class _Body:
    """gunicorn's request body; chunks that are malformed are the client's fault, as a lost connection is."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, none at the end; an OSError where the client did not keep to the protocol."""
        try:
            piece: bytes = self._body.read(size)
        except ParseException as error:
            raise ConnectionAbortedError(str(error)) from error
        return piece


def _has_sent(sock: socket.socket) -> bool:
    """Whether there is something to read, be it the end."""
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pass  # reading it again tells why
    return True


def _limit_idling(sock: socket.socket, seconds: int) -> None:
    """In the kernel, so that a blocking sendfile is covered and costs nothing."""
    limit = struct.pack("ll", seconds, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
