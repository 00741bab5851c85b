"""A registry that answers what a test tells it to, over real sockets."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from registry.transfer.client import RegistryClient
from registry.transfer.login import Login
from registry.transfer.patience import Endurance
from registry.transfer.place import Address
from registry.transfer.transport import Security

Play = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; what a test's function gets."""

    protocol_version = "HTTP/1.1"
    script: "Scripted"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; underscores in header names become dashes."""
        self.begin(status, **({"Content_Length": str(len(body))} | headers))
        self.wfile.write(body)

    def begin(self, status: int, **headers: str) -> None:
        """The head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def cut(self) -> None:
        """End the connection after what was said so far."""
        self.close_connection = True

    def play(self) -> None:
        self.script.seen.append((self.command, self.path, self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        play = self.script.plays.get(f"{self.command} {path}")
        try:
            if play is not None:
                play(self)
            else:
                self.answer(200 if path == "/v2/" else 404, b"{}")
        except OSError:
            self.close_connection = True  # the client has gone, as it should

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = play  # noqa: N815  # http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or refuses a certificate, is what some tests are about."""


@dataclass
class Scripted:
    """What it answers to `METHOD /path`, and what it was asked: method, path, credentials."""

    plays: dict[str, Play] = field(default_factory=dict)
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def scripted(tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A scripted registry on a free port."""
    script = Scripted()
    kind = type("Bound", (Handler,), {"script": script})
    with _Server(("127.0.0.1", 0), kind) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        script.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def connected(script: Scripted, login: Login | None = None) -> Iterator[RegistryClient]:
    """A client of ours that soon loses patience."""
    endurance = Endurance(threading.Event(), retries=2, pause=0.01)
    client = RegistryClient.connect(Address.parse(script.url), Security(), login, endurance)
    try:
        yield client
    finally:
        client.close()
