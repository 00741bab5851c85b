"""The closed loop: every connection asks again as soon as it is answered. For rates, never for latencies."""

import select
import time
from dataclasses import dataclass
from functools import partial

from bench.traffic.crew import Meeting, processes, together
from bench.traffic.endpoint import Endpoint, Request
from bench.traffic.lane import Lane, buffer


@dataclass(frozen=True, slots=True)
class Flood:
    """What came of one, `cpu` in seconds of a core that the generator itself took."""

    seconds: float
    answers: int
    bytes: int
    """Of bodies, those of answers that did not end in time too."""
    cpu: float
    processes: int

    @property
    def share(self) -> float:
        """How much of its processes' time the generator was busy: near 1, it and not the server set the pace."""
        return self.cpu / self.seconds / self.processes


def flood(endpoint: Endpoint, request: Request, connections: int, seconds: float) -> Flood:
    """Ask for one thing over so many connections, spread over several processes.

    Raises:
        BenchFailed: an answer is not what it should be.
    """
    count = min(processes(), connections)
    meeting = Meeting(count)
    numbers = [connections // count + (number < connections % count) for number in range(count)]
    shares = together([partial(_flood, endpoint, request, number, meeting, seconds) for number in numbers])
    answers, received = (sum(share.result[field] for share in shares) for field in (0, 1))
    return Flood(seconds, answers, received, sum(share.cpu for share in shares), count)


def _flood(endpoint: Endpoint, request: Request, connections: int, meeting: Meeting, seconds: float) -> tuple[int, int]:
    """Answers and bytes within the time."""
    wire, shared, trust = request.wire(endpoint), buffer(), endpoint.trust()
    lanes = {lane.file: lane for lane in (Lane(endpoint, trust, shared) for _ in range(connections))}
    with select.epoll() as epoll:
        for file in lanes:
            epoll.register(file, select.EPOLLIN)
        start = meeting.start()
        time.sleep(max(0.0, start - time.monotonic()))
        for lane in lanes.values():
            lane.ask(wire, request)
        answers, end = 0, start + seconds
        while (left := end - time.monotonic()) > 0:
            for file, _ in epoll.poll(left):
                lane = lanes[file]
                if lane.take():
                    answers += 1
                    lane.ask(wire, request)
    received = sum(lane.received for lane in lanes.values())
    for lane in lanes.values():
        lane.close()
    return answers, received
