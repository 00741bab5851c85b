"""A wire that breaks: what goes through it is cut off after so many bytes, again and again."""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


@dataclass
class Wire:
    """A port that leads to another, and how often a connection through it was cut."""

    port: int
    cuts: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def cutting(port: int, limit: int) -> Iterator[Wire]:
    """A wire to `port` of the loopback that resets every connection after `limit` bytes, in either direction."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener.getsockname()[1])
        threading.Thread(target=_accept, args=(listener, port, limit, wire), daemon=True).start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, port: int, limit: int, wire: Wire) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_forward, args=(client, port, limit, wire), daemon=True).start()


def _forward(client: socket.socket, port: int, limit: int, wire: Wire) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server, contextlib.suppress(OSError):
        other = {client: server, server: client}
        left = limit
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ)
            ready.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    side = client if key.fileobj is client else server
                    chunk = side.recv(min(_CHUNK, left))
                    if not chunk:
                        return
                    other[side].sendall(chunk)
                    left -= len(chunk)
                    if left <= 0:
                        wire.cuts += 1
                        for each in other:
                            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                        return
