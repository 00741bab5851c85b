"""Many slow downloads at once, and how long a quick request takes beside them."""

import asyncio
import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from bench.errors import BenchFailed
from bench.listener import Server
from bench.traffic.crew import Crew, beside
from bench.traffic.endpoint import ACCEPT
from bench.traffic.paced import percentile

_PULSE = 0.5
_PROBE_EVERY = 0.01
_KERNEL_BUFFER = 64 * 1024  # what the kernel takes in for a client that does not read
_CLIENT_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Download:
    """What every client asks for, and how fast it takes it, in bytes a second."""

    host: str
    port: int
    path: str
    size: int
    rate: float
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Slow:
    """`alone` and `beside` are seconds that a probe took, in order; memory is that of all processes that serve."""

    clients: int
    finished: int
    seconds: float
    alone: tuple[float, ...]
    beside: tuple[float, ...]
    memory_before: int
    memory_peak: int

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.finished} of {self.clients} downloads finished, after {self.seconds:.1f} s"
        for name, values in (("alone", self.alone), ("beside", self.beside)):
            shares = (
                f"{share:.3g} %: {percentile(sorted(values), share / 100) * 1000:.1f} ms"
                for share in (50, 99, 99.9, 100)
            )
            yield f"a manifest {name}: {', '.join(shares)} ({len(values)} requests)"
        before, peak = self.memory_before / 1e6, self.memory_peak / 1e6
        yield f"memory of what serves: {before:.0f} MB before, {peak:.0f} MB at most"


def measure(download: Download, clients: int, probe: str, alone: int = 300) -> Slow:
    """Let `clients` download at once, and ask for `probe` a hundred times a second meanwhile, and `alone` times before.

    Raises:
        BenchFailed: a probe is not answered with 200.
    """
    server = Server.at(download.port)
    quiet = tuple(_probe(download, probe, iter([True] * alone)))
    before = server.memory()
    started = time.monotonic()
    share, peak = clients // _CLIENT_PROCESSES, [before]
    with beside([partial(_run, download, share)] * _CLIENT_PROCESSES) as crew:
        probed = tuple(_probe(download, probe, _while(crew, server, peak)))
        finished = sum(crew.results())
    return Slow(share * _CLIENT_PROCESSES, finished, time.monotonic() - started, quiet, probed, before, peak[0])


def _while(crew: Crew[int], server: Server, peak: list[int]) -> Iterator[bool]:
    looked = 0.0
    while not crew.is_done:
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            peak[0] = max(peak[0], server.memory())
        yield True


def _probe(download: Download, path: str, more: Iterator[bool]) -> Iterator[float]:
    """Seconds of each request from the moment it was due: one that waits for the one before has waited."""
    with closing(_connection(download)) as connection:
        yield from _probe_by(connection, path, more)


def _probe_by(connection: http.client.HTTPConnection, path: str, more: Iterator[bool]) -> Iterator[float]:
    due = time.monotonic()
    for _ in more:
        time.sleep(max(0.0, due - time.monotonic()))
        connection.request("GET", path, headers={"Accept": ACCEPT})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise BenchFailed(f"{path} was answered with {answer.status}")
        yield time.monotonic() - due
        due += _PROBE_EVERY


def _connection(download: Download) -> http.client.HTTPConnection:
    if download.ca_file is None:
        return http.client.HTTPConnection(download.host, download.port, timeout=60)
    context = ssl.create_default_context(cafile=download.ca_file)
    return http.client.HTTPSConnection(download.host, download.port, timeout=60, context=context)


def _run(download: Download, clients: int) -> int:
    """In a process of its own: how many of them got all."""
    return asyncio.run(_download_all(download, clients))


async def _download_all(download: Download, clients: int) -> int:
    context = ssl.create_default_context(cafile=download.ca_file) if download.ca_file else None
    results = await asyncio.gather(
        *(_download(download, context, number / clients) for number in range(clients)), return_exceptions=True
    )
    return sum(result is True for result in results)


async def _download(download: Download, context: ssl.SSLContext | None, delay: float) -> bool:
    await asyncio.sleep(delay)  # all within a second
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (download.host, download.port))
        reader, writer = await asyncio.open_connection(
            sock=sock,
            limit=_KERNEL_BUFFER,
            ssl=context,
            server_hostname=download.host if context else None,
        )
        writer.write(f"GET {download.path} HTTP/1.1\r\nHost: {download.host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        left, due = download.size, time.monotonic()
        while left:
            wanted = min(left, int(download.rate * _PULSE))
            left -= len(await reader.readexactly(wanted))
            due += _PULSE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.close()
        return head.startswith(b"HTTP/1.1 200 ")


def target(url: str, path: str, size: int, rate: float, ca_file: str | None = None) -> Download:
    """The download of `path` from the server at `url`."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise BenchFailed(f"{url} names no host and port")
    return Download(parts.hostname, parts.port, path, size, rate, ca_file and os.path.abspath(ca_file))
