"""A client that has TLS in its own hands: which bytes go out when, and which end is said how."""

import socket
import ssl
from contextlib import suppress
from typing import Self

_READ = 1 << 16


class EncryptedClient:
    """A connection; nothing is sent but what a method says."""

    def __init__(self, port: int, context: ssl.SSLContext, *, buffer: int | None = None) -> None:
        """With a `buffer` the kernel holds no more than that for it."""
        self.sock = socket.socket()
        if buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def hello(self) -> bytes:
        """The first bytes of a handshake."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    def greet(self, step: int = _READ) -> Self:
        """The whole handshake, `step` bytes at a time."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_in_steps(step)
                self._take()
            else:
                self._send_in_steps(step)
                return self

    @property
    def cipher(self) -> str:
        """What the server chose."""
        chosen = self._tls.cipher()
        assert chosen is not None
        return chosen[0]

    @property
    def certificate(self) -> bytes:
        """What the server showed, as DER."""
        shown = self._tls.getpeercert(binary_form=True)
        assert shown is not None
        return shown

    def records(self, *contents: bytes) -> bytes:
        """Each as a record of its own, encrypted and not sent."""
        for content in contents:
            self._tls.write(content)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """TLS's own end of what this side sends."""
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    def read(self) -> bytes:
        """What comes next; nothing at an end that is said as TLS demands, an `ssl.SSLEOFError` at any other."""
        while True:
            try:
                return self._tls.read(_READ)
            except ssl.SSLWantReadError:
                self._take()
            except ssl.SSLZeroReturnError:
                return b""

    def read_all(self) -> bytes:
        return b"".join(iter(self.read, b""))

    def _send_in_steps(self, step: int) -> None:
        content = self._outgoing.read()
        for start in range(0, len(content), step):
            self.sock.sendall(content[start : start + step])

    def _take(self) -> None:
        if piece := self.sock.recv(_READ):
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()
