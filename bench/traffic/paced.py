"""The open loop: requests are due by a clock, whatever becomes of those before, and are timed from that instant.

A closed loop that waits for a slow answer asks less often just then, and so leaves out what others would have felt
(coordinated omission). Here what is due while all connections are busy waits, and the waiting counts.
"""

import math
import select
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.traffic.crew import Meeting, processes, together
from bench.traffic.endpoint import Endpoint, Request
from bench.traffic.lane import Lane, buffer

SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)
_GRACE = 2.0
"""Seconds that the last answers get; what is still due then was never answered."""


@dataclass(frozen=True, slots=True)
class Paced:
    """Seconds from due to answered, sorted; and how late the generator itself was with requests it had room for."""

    rate: float
    seconds: float
    latencies: Sequence[float]
    lateness: Sequence[float]
    unanswered: int
    cpu: float
    processes: int

    @property
    def kept_up(self) -> bool:
        """Whether the server answered as fast as it was asked: else latencies only tell how long it was measured."""
        return self.unanswered == 0 and percentile(self.latencies, 0.5) < self.seconds / 10

    def percentiles(self) -> dict[str, float]:
        """Milliseconds, by the share of requests that took no longer."""
        return {f"p{share * 100:g}": percentile(self.latencies, share) * 1000 for share in SHARES}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; `values` are sorted, and without any the answer is 'never'."""
    if not values:
        return math.inf
    return values[min(len(values), max(1, math.ceil(share * len(values)))) - 1]


def paced(endpoint: Endpoint, requests: Sequence[Request], rate: float, connections: int, seconds: float) -> Paced:
    """Ask for `requests` in turn, `rate` times a second, over so many connections and several processes.

    Raises:
        BenchFailed: an answer is not what it should be.
    """
    count = min(processes(), connections)
    task = partial(_paced, endpoint, requests, count / rate, connections // count, seconds, Meeting(count))
    shares = together([partial(task, number / rate) for number in range(count)])
    latencies, lateness = (sorted(value for share in shares for value in share.result[field]) for field in (0, 1))
    cpu, asked = sum(share.cpu for share in shares), int(rate * seconds)
    return Paced(rate, seconds, latencies, lateness, max(0, asked - len(latencies)), cpu, count)


class _Clock:
    """What is due, and who asks for it."""

    def __init__(self, lanes: dict[int, Lane], requests: Sequence[tuple[bytes, Request]], start: float) -> None:
        self.lanes = lanes
        self.idle = list(lanes.values())
        self.dues: dict[int, float] = {}
        """Of the connections that wait for an answer."""
        self.latencies, self.lateness = array("d"), array("d")
        self._requests = requests
        self._start = start
        self._sent = 0

    def due(self, every: float) -> float:
        return self._start + self._sent * every

    def ask(self, due: float, *, is_fresh: bool) -> None:
        """`is_fresh` if nothing but the generator kept it from being asked for when it was due."""
        lane = self.idle.pop()
        wire, request = self._requests[self._sent % len(self._requests)]
        if is_fresh:
            self.lateness.append(time.monotonic() - due)
        lane.ask(wire, request)
        self.dues[lane.file] = due
        self._sent += 1

    def go_on(self, every: float, now: float, end: float) -> float:
        """Ask for all that is due, as far as there are connections; until when there is nothing to do but to wait."""
        while (due := self.due(every)) <= now and due < end and self.idle:
            self.ask(due, is_fresh=len(self.idle) == len(self.lanes))
        return due if self.idle and due < end else end + _GRACE

    def take(self, file: int) -> None:
        lane = self.lanes[file]
        if lane.take():
            self.latencies.append(time.monotonic() - self.dues.pop(file))
            self.idle.append(lane)


def _paced(
    endpoint: Endpoint,
    requests: Sequence[Request],
    every: float,
    connections: int,
    seconds: float,
    meeting: Meeting,
    delay: float,
) -> tuple["array[float]", "array[float]"]:
    """Latencies and the generator's own lateness."""
    shared, trust = buffer(), endpoint.trust()
    wires = [(request.wire(endpoint), request) for request in requests]
    lanes = {lane.file: lane for lane in (Lane(endpoint, trust, shared) for _ in range(connections))}
    start = meeting.start() + delay
    clock, end = _Clock(lanes, wires, start), start + seconds
    with select.epoll() as epoll:
        for file in lanes:
            epoll.register(file, select.EPOLLIN)
        while clock.due(every) < end or clock.dues:
            now = time.monotonic()
            if now > end + _GRACE:
                break
            until = clock.go_on(every, now, end)
            # epoll alone waits in whole milliseconds
            select.select([epoll], (), (), max(0.0, until - now))
            for file, _ in epoll.poll(0):
                clock.take(file)
    for lane in lanes.values():
        lane.close()
    return clock.latencies, clock.lateness
