"""The ground that all measurements stand on: who serves, how much is measured, and what it takes meanwhile."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.listener import Server
from bench.neighbours import Usage
from bench.peers import Peer
from bench.results import Figure
from bench.sample import Sample
from bench.spread import rotated
from bench.traffic.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    transports: tuple[bool, ...] = (False, True)
    """Whether by TLS."""
    connections: int = 16
    nodes: int = 10
    manifests: int = 100_000
    """In the larger index."""

    @classmethod
    def quick(cls, transports: tuple[bool, ...]) -> "Plan":
        """One round of everything: to see that it works, and no ground for verdicts."""
        return cls(1, 0.4, transports, nodes=4, manifests=5_000)

    def steps(self, values: Sequence[int]) -> Sequence[int]:
        """What a section goes through; in a single round the ends and the middle."""
        return (values[0], values[len(values) // 2], values[-1]) if self.rounds == 1 else values

    @property
    def is_short(self) -> bool:
        """Whether everything is measured once."""
        return self.rounds == 1


@dataclass(frozen=True, slots=True)
class Field:
    """What measurements need."""

    plan: Plan
    sample: Sample
    peers: tuple[Peer, ...]
    """Ours is the first one."""
    folder: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def ours(self) -> Peer:
        return self.peers[0]

    def turns(self) -> Iterator[tuple[int, bool, str, Sequence[Peer]]]:
        """Round, whether by TLS, what a case begins with, and who is measured, another one first each time."""
        for number in range(self.plan.rounds):
            for tls in self.plan.transports:
                peers = [peer for peer in self.peers if peer.speaks(tls=tls)]
                yield number, tls, scheme(tls=tls), rotated(peers, number)

    def figure(
        self, place: tuple[str, str, str, int], value: float, unit: str, details: Mapping[str, float], x: float = 0
    ) -> Figure:
        """A figure of now; its place is section, case, subject and round."""
        section, case, subject, number = place
        return Figure(section, case, subject, number, value, unit, x, details, round(time.monotonic() - self.began, 2))


def scheme(*, tls: bool) -> str:
    """What a case begins with."""
    return "HTTPS" if tls else "HTTP"


class Watch:
    """What serves an endpoint, and the rest of the machine, from now on."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._server = Server.at(endpoint.port)
        self._usage = Usage.now()
        self._cpu = self._server.cpu()

    def told(self) -> dict[str, float]:
        """Seconds of cores that the server took, its memory now, and cores that others kept busy."""
        others = Usage.now().others_since(self._usage)
        if not self._server.pids:  # it runs elsewhere
            return {"others": others}
        cpu = round(self._server.cpu() - self._cpu, 3)
        return {"server_cpu": cpu, "memory": self._server.memory(), "others": others}


def evict(folder: Path) -> None:
    """Let the next reader of everything below `folder` wait for the disk."""
    os.sync()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
