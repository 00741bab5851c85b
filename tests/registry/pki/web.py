"""The registry's application behind real TLS on the loopback, without gunicorn."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from registry.api.app import RegistryApp
from registry.pki.certificates import Certificates


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's own name
        """Nothing: clients that refuse the certificate are expected."""

    def get_environ(self) -> dict[str, object]:
        environ: dict[str, object] = super().get_environ()
        return environ | {"HTTPS": "on"}  # makes wsgi.url_scheme https


class _Server(ThreadingMixIn, WSGIServer):
    certificates: Certificates

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        return self.certificates.context().wrap_socket(connection, server_side=True), address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away."""


@contextmanager
def serving_tls(app: RegistryApp, certificates: Certificates) -> Iterator[int]:
    """The port on which `app` is served."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.certificates = certificates
    server.set_app(app)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
