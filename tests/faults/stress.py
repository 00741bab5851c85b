"""Clients that mix everything at random, honest and not, and believe no byte that they get."""

import hashlib
import itertools
import random
import select
import socket
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field

from tests.conftest import Server

_RESET = struct.pack("ii", 1, 0)
_PART = 1 << 16
_SILENCE = 30  # seconds without a byte are a lost answer


@dataclass(frozen=True)
class Wanted:
    """A request, and the answer that it must get."""

    sent: bytes
    status: int
    body: bytes | None = None
    """None where its bytes do not matter."""
    has_body: bool = True


@dataclass
class Findings:
    """What the clients have seen."""

    answers: int = 0
    faults: list[str] = field(default_factory=list)


class Exchange:
    """Sends, part by part, and takes the answers one after the other, both at once and in one thread, as TLS wants."""

    def __init__(self, sock: socket.socket, *parts: bytes, piece: int = 1 << 18, pause: float = 0) -> None:
        self._sock, self._piece, self._pause = sock, piece, pause
        self._parts = [part for part in parts if part]
        self._buffer = b""
        sock.setblocking(False)

    def check(self, wanted: Wanted) -> None:
        """The next answer is the one to `wanted`."""
        head = self._until_blank_line()
        status = int(head[9:12])
        if status == 100:
            head = self._until_blank_line()
            status = int(head[9:12])
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        body = self._take(length) if wanted.has_body else b""
        assert head.startswith(b"HTTP/1.1 "), head[:80]
        assert status == wanted.status, (status, wanted.status, wanted.sent[:80], body[:200])
        assert wanted.body is None or body == wanted.body, ("wrong bytes", wanted.sent[:80], len(body))

    def _until_blank_line(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n"

    def _take(self, size: int) -> bytes:
        pieces, count = [self._buffer], len(self._buffer)
        while count < size:
            self._buffer = b""
            self._fill()
            pieces.append(self._buffer)
            count += len(self._buffer)
        whole = b"".join(pieces)
        self._buffer = whole[size:]
        return whole[:size]

    def _fill(self) -> None:
        time.sleep(self._pause)
        silent_at = time.monotonic() + _SILENCE
        while not self.receive():
            self._send()
            select.select([self._sock], [self._sock] if self._parts else [], [], 1)
            assert time.monotonic() < silent_at, "an answer is lost"

    def receive(self) -> bool:
        """What has come. An EOFError at the end."""
        try:
            piece = self._sock.recv(self._piece)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not piece:
            raise EOFError
        self._buffer += piece
        return True

    def _send(self) -> None:
        with suppress(BlockingIOError, BrokenPipeError, ssl.SSLWantWriteError):
            if self._parts:
                count = self._sock.send(self._parts[0][:_PART])
                self._parts[0] = self._parts[0][count:]
                if not self._parts[0]:
                    self._parts.pop(0)
                    time.sleep(self._pause)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


def chunked(content: bytes, chance: random.Random) -> bytes:
    """In chunks of any sizes, now and then with extensions and trailers."""
    pieces, place = [], 0
    while place < len(content):
        size = chance.choice((1, 10, 1000, 70_000))
        part = content[place : place + size]
        pieces.append(b"%x%s\r\n%s\r\n" % (len(part), chance.choice((b"", b";a=b", b';q="x"')), part))
        place += size
    return b"".join(pieces) + chance.choice((b"0\r\n\r\n", b"0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"))


class Stress:
    """What is asked of one registry to which anybody may push; `blobs` and the manifest `tag` are in `app`."""

    def __init__(self, server: Server, blobs: list[bytes], manifest: bytes) -> None:
        self._server = server
        self._blobs = [(digest_of(blob), blob) for blob in blobs]
        self._manifest = manifest
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    def run(self, seconds: float, clients: int, seed: int) -> Findings:
        """Let them all loose; every answer was right, or `faults` says what was not."""
        findings, end = Findings(), time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._client, args=(random.Random(seed + number), end, findings))
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return findings

    def _client(self, chance: random.Random, end: float, findings: Findings) -> None:
        scenarios: list[Callable[[random.Random], int]] = [
            *[self._pipeline] * 6,
            *[self._in_parts] * 2,
            self._half_closed,
            self._slow_reader,
            self._vanishing,
            self._never_reading,
            self._garbage,
            self._broken_greeting,
            self._leftover,
        ]
        while time.monotonic() < end and len(findings.faults) < 20:
            scenario = chance.choice(scenarios)
            try:
                findings.answers += scenario(chance)
            except (OSError, EOFError, AssertionError, ValueError) as error:
                findings.faults.append(f"{scenario.__name__}: {error!r} {traceback.format_exc()}")

    def _connect(self, chance: random.Random, *, window: int = 0) -> socket.socket:
        plain = socket.socket()
        if window:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        plain.settimeout(_SILENCE)
        plain.connect(("127.0.0.1", self._server.port))
        return self._context.wrap_socket(plain) if chance.random() < 0.5 else plain

    def _any(self, chance: random.Random) -> Iterator[Wanted]:
        kind = chance.randrange(10)
        digest, content = chance.choice(self._blobs)
        place = f"/v2/app/blobs/{digest}"
        if kind == 0:
            yield Wanted(request("GET /v2/app/manifests/1"), 200, self._manifest)
        elif kind == 1:
            yield Wanted(request("HEAD /v2/app/manifests/1"), 200, has_body=False)
        elif kind == 2:
            yield Wanted(request(f"GET {place}"), 200, content)
        elif kind == 3:
            yield Wanted(request(f"HEAD {place}", "Content-Length: 0"), 200, has_body=False)
        elif kind == 4 and content:
            first = chance.randrange(len(content))
            last = chance.choice((first, 10**18, 2**63, first + chance.randrange(200_000)))
            yield Wanted(request(f"GET {place}", f"Range: bytes={first}-{last}"), 206, content[first : last + 1])
        elif kind == 5:
            yield Wanted(request(f"GET {place}", f'If-None-Match: "{digest}"'), 304, has_body=False)
        elif kind == 6:
            yield Wanted(request("GET /v2/"), 200, b"{}")
            yield Wanted(request("GET /v2/app/manifests/none"), 404)
        elif kind == 7:
            yield Wanted(request("GET /v2/app/tags/list"), 200, b'{"name":"app","tags":["1"]}')
        else:
            yield from self._push(chance)

    def _push(self, chance: random.Random) -> Iterator[Wanted]:
        content = chance.randbytes(chance.choice((0, 1, 3000, 9000, 100_000, 600_000)))
        place = f"/v2/pushed/blobs/uploads/?digest={digest_of(content)}"
        expect = ("Expect: 100-continue",) if chance.random() < 0.3 else ()
        if chance.random() < 0.5:
            sent = request(f"POST {place}", *expect, f"Content-Length: {len(content)}", body=content)
        else:
            body = chunked(content, chance)
            sent = request(f"POST {place}", *expect, "Transfer-Encoding: chunked", body=body)
        yield Wanted(sent, 201)
        yield Wanted(request(f"GET /v2/pushed/blobs/{digest_of(content)}"), 200, content)

    def _some(self, chance: random.Random, most: int) -> list[Wanted]:
        return [wanted for _ in range(chance.randint(1, most)) for wanted in self._any(chance)]

    # Honest clients

    def _pipeline(self, chance: random.Random) -> int:
        wanted = self._some(chance, 12)
        with closing(self._connect(chance)) as sock:
            _check_all(Exchange(sock, b"".join(each.sent for each in wanted)), wanted)
        return len(wanted)

    def _in_parts(self, chance: random.Random) -> int:
        wanted = self._some(chance, 3)
        whole = b"".join(each.sent for each in wanted)
        cuts = [0, *sorted(chance.randrange(len(whole)) for _ in range(6)), len(whole)]
        parts = [whole[first:last] for first, last in itertools.pairwise(cuts)]
        with closing(self._connect(chance)) as sock:
            _check_all(Exchange(sock, *parts, pause=0.005), wanted)
        return len(wanted)

    def _half_closed(self, chance: random.Random) -> int:
        wanted = self._some(chance, 4)
        with closing(self._connect(chance)) as sock:
            if isinstance(sock, ssl.SSLSocket):  # Python's cannot say that it ends and read on
                return 0
            reader = sock.dup()
            sender = threading.Thread(target=_send_and_end, args=(sock, b"".join(each.sent for each in wanted)))
            sender.start()
            with closing(reader):
                reader.settimeout(_SILENCE)
                exchange = Exchange(reader)
                sock.settimeout(_SILENCE)
                _check_all(exchange, wanted)
            sender.join()
        return len(wanted)

    def _slow_reader(self, chance: random.Random) -> int:
        digest, content = max(self._blobs, key=lambda blob: len(blob[1]))
        with closing(self._connect(chance, window=8192)) as sock:
            wanted = Wanted(request(f"GET /v2/app/blobs/{digest}"), 200, content)
            _check_all(Exchange(sock, wanted.sent * 2, piece=65536, pause=0.002), [wanted, wanted])
        return 2

    # Dishonest ones

    def _vanishing(self, chance: random.Random) -> int:
        """At any moment, with a reset or without."""
        whole = b"".join(each.sent for each in self._some(chance, 5))
        with closing(self._connect(chance)) as sock, suppress(OSError):
            sock.settimeout(0.2)
            sock.sendall(whole[: chance.randrange(len(whole) + 1)])
            if chance.random() < 0.5:
                sock.recv(chance.randrange(1, 200_000))
            if chance.random() < 0.7:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        return 0

    def _never_reading(self, chance: random.Random) -> int:
        digest, _ = max(self._blobs, key=lambda blob: len(blob[1]))
        with closing(self._connect(chance, window=4096)) as sock, suppress(OSError):
            sock.settimeout(0.3)
            sock.sendall(request(f"GET /v2/app/blobs/{digest}") * 5 + request("GET /v2/app/manifests/1") * 20_000)
        return 0

    def _garbage(self, chance: random.Random) -> int:
        wanted = self._some(chance, 3)
        with closing(self._connect(chance)) as sock:
            junk = chance.choice((b"\x00\x01\x02", b"GET\r\n\r\n", b"PUT /v2/ HTTP/1.1\r\nContent-Length: x\r\n\r\n"))
            with suppress(OSError, EOFError):
                exchange = Exchange(sock, wanted[0].sent + junk * chance.randrange(1, 9))
                _check_all(exchange, [wanted[0], Wanted(junk, 400)])
        return 1

    def _broken_greeting(self, chance: random.Random) -> int:
        hello = bytearray(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(600))
        with closing(socket.create_connection(("127.0.0.1", self._server.port), _SILENCE)) as sock, suppress(OSError):
            sock.sendall(hello[: chance.randrange(1, len(hello))])
            if chance.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif chance.random() < 0.5:
                sock.settimeout(0.1)
                sock.recv(1000)
        return 0

    def _leftover(self, chance: random.Random) -> int:
        """What comes behind the last request is no request."""
        with closing(self._connect(chance)) as sock:
            last = Wanted(request("GET /v2/app/manifests/1", "Connection: close"), 200, self._manifest)
            sock.sendall(last.sent + request("DELETE /v2/app/manifests/1"))
            Exchange(sock).check(last)
            with suppress(OSError):
                sock.settimeout(_SILENCE)
                sock.sendall(b"GET")
                assert sock.recv(1000) == b"", "an answer behind the last one"
        return 1


def _check_all(exchange: Exchange, wanted: list[Wanted]) -> None:
    for each in wanted:
        exchange.check(each)


def _send_and_end(sock: socket.socket, whole: bytes) -> None:
    with suppress(OSError):
        sock.sendall(whole)
        sock.shutdown(socket.SHUT_WR)
