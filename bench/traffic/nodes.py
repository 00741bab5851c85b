"""Nodes that pull images at once, each image after the other and at most three things at a time, as containerd does.

A node opens connections anew for each image, as containerd does too: over TLS the handshakes are part of a pull.
Nothing is hashed and nothing is unpacked, which would cost a real node more than the pull.
"""

import math
import select
import ssl
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench.traffic.crew import Meeting, processes, together
from bench.traffic.endpoint import Endpoint, Request
from bench.traffic.lane import Lane, buffer
from bench.traffic.script import Pulling, Script, Wanted, pull

AT_A_TIME = 3


@dataclass(frozen=True, slots=True)
class Visit:
    """What so many nodes took: `seconds` until the last one had all, and of each image, sorted."""

    seconds: float
    images: Sequence[float]
    requests: int
    bytes: int
    cpu: float
    processes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a measurement may take: bytes a second of all nodes together, and seconds in all."""

    bytes_per_second: float = math.inf
    seconds: float = math.inf


UNLIMITED = Limits()


def visit(endpoint: Endpoint, images: Sequence[Wanted], nodes: int, how: Pulling, limits: Limits = UNLIMITED) -> Visit:
    """Let every node pull every image once, into nothing.

    Raises:
        BenchFailed: an image cannot be pulled.
    """
    count = min(processes(), nodes)
    meeting = Meeting(count)
    numbers = [nodes // count + (number < nodes % count) for number in range(count)]
    bounds = Limits(limits.bytes_per_second / count, limits.seconds)
    shares = together([partial(_visit, endpoint, images, number, how, meeting, bounds) for number in numbers])
    done = [share.result for share in shares]
    times = sorted(seconds for each in done for seconds in each.images)
    requests, received = sum(each.requests for each in done), sum(each.bytes for each in done)
    cpu = sum(share.cpu for share in shares)
    return Visit(max(each.seconds for each in done), times, requests, received, cpu, count)


class _Node:
    """One of them: a script, and the connections on which its requests are."""

    def __init__(self, scripts: Iterator[Script], endpoint: Endpoint, trust: ssl.SSLContext | None) -> None:
        self.images: list[float] = []
        self.requests = 0
        self._scripts = scripts
        self._endpoint, self._trust = endpoint, trust
        self._waiting: deque[tuple[int, Request]] = deque()
        self._bodies: list[bytes] = []
        self._places: dict[int, int] = {}
        """Which request of its batch a connection is about."""
        self._idle: list[Lane] = []
        self._lanes: list[Lane] = []
        self._began = 0.0
        self._script: Script | None = None

    def begin(self, shared: memoryview) -> list[Lane]:
        """Go on with the next image; the new connections. None where all is done."""
        self.close()
        script = next(self._scripts, None)
        self._script = script
        if script is None:
            return []
        self._began = time.monotonic()
        self._take_batch(next(script))
        return self.ask(shared)

    def ask(self, shared: memoryview) -> list[Lane]:
        """Make requests, as many as may be made at once; the connections that had to be opened for them."""
        opened = []
        while self._waiting and len(self._places) < AT_A_TIME:
            if not self._idle:
                lane = Lane(self._endpoint, self._trust, shared)
                self._lanes.append(lane)
                self._idle.append(lane)
                opened.append(lane)
            lane, (place, request) = self._idle.pop(), self._waiting.popleft()
            lane.ask(request.wire(self._endpoint), request)
            self._places[lane.file] = place
        return opened

    def take(self, lane: Lane) -> bool:
        """Whether the image is whole now."""
        if not lane.take():
            return False
        self._bodies[self._places.pop(lane.file)] = lane.body
        self._idle.append(lane)
        self.requests += 1
        if self._waiting or self._places:
            return False
        assert self._script is not None
        try:
            self._take_batch(self._script.send(self._bodies))
        except StopIteration:
            self.images.append(time.monotonic() - self._began)
            return True
        return False

    def close(self) -> None:
        """All connections."""
        for lane in self._lanes:
            lane.close()
        self._lanes, self._idle = [], []

    def _take_batch(self, requests: Sequence[Request]) -> None:
        self._waiting.extend(enumerate(requests))
        self._bodies = [b""] * len(requests)


class _Crowd:
    """The nodes of one process, and which connection is whose."""

    def __init__(self, nodes: Sequence[_Node], epoll: select.epoll, shared: memoryview) -> None:
        self.received = 0
        self._epoll, self._shared = epoll, shared
        self._owners: dict[int, tuple[_Node, Lane]] = {}
        for node in nodes:
            self._watch(node, node.begin(shared))

    @property
    def is_busy(self) -> bool:
        return bool(self._owners)

    def turn(self) -> None:
        """Take what has come, and ask for what follows from it."""
        for file, _ in self._epoll.poll(1.0):
            if file in self._owners:  # else its image was whole a moment ago
                self._attend(*self._owners[file])

    def _attend(self, node: _Node, lane: Lane) -> None:
        held = lane.received
        is_whole = node.take(lane)
        self.received += lane.received - held
        if is_whole:
            self._owners = {file: (owner, each) for file, (owner, each) in self._owners.items() if owner is not node}
        self._watch(node, node.begin(self._shared) if is_whole else node.ask(self._shared))

    def _watch(self, node: _Node, opened: Sequence[Lane]) -> None:
        for lane in opened:
            self._owners[lane.file] = (node, lane)
            self._epoll.register(lane.file, select.EPOLLIN)


def _visit(
    endpoint: Endpoint, images: Sequence[Wanted], nodes: int, how: Pulling, meeting: Meeting, limits: Limits
) -> Visit:
    trust, shared = endpoint.trust(), buffer()
    pullers = [_Node(_scripts(images, how), endpoint, trust) for _ in range(nodes)]
    before, start = time.process_time(), meeting.start()
    time.sleep(max(0.0, start - time.monotonic()))
    with select.epoll() as epoll:
        crowd = _Crowd(pullers, epoll, shared)
        while crowd.is_busy and time.monotonic() - start < limits.seconds:
            crowd.turn()
            time.sleep(max(0.0, crowd.received / limits.bytes_per_second - (time.monotonic() - start)))
    seconds, cpu = time.monotonic() - start, time.process_time() - before
    for node in pullers:
        node.close()
    times = [taken for node in pullers for taken in node.images]
    return Visit(seconds, times, sum(node.requests for node in pullers), crowd.received, cpu, 1)


def _scripts(images: Sequence[Wanted], how: Pulling) -> Iterator[Script]:
    known: set[str] = set()
    return (pull(image, how, known) for image in images)
