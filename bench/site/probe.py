"""What the running registry gives, and what that costs it: in short bursts with rests between."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.listener import Server
from bench.traffic.endpoint import Endpoint, Request
from bench.traffic.nodes import Limits, visit
from bench.traffic.paced import paced, percentile
from bench.traffic.script import Platform, Pulling, Wanted

_BURST = 0.5
_NODES = 4
_ASKED = 200


@dataclass(frozen=True, slots=True)
class Probe:
    """Seconds of cores are None where the registry's processes cannot be looked at."""

    bytes_per_second: float
    median: float
    slowest: float
    """Seconds, of a manifest: the middle one, and what 99 % stay below."""
    cpu_per_byte: float | None
    """None too where requests took all of the time: there was too little to tell a byte's share."""
    cpu_per_request: float | None


@dataclass(frozen=True, slots=True)
class Manners:
    """How much a running registry may be disturbed: a share of the time, and bytes a second."""

    share: float
    rate: float
    seconds: float

    @property
    def bursts(self) -> int:
        """As many as fit."""
        return max(2, int(self.seconds * self.share / _BURST))


def probe(endpoint: Endpoint, images: Sequence[Wanted], platform: Platform, manners: Manners) -> Probe:
    """Pull as nodes do, and ask for manifests by a clock.

    Raises:
        BenchFailed: the registry does not answer as it should.
    """
    server = Server.at(endpoint.port) if endpoint.host in ("127.0.0.1", "::1", "localhost") else Server(())
    manifest = Request("GET", f"/v2/{images[0].repository}/manifests/{images[0].tag}")
    asked, latencies, request_cpu = 0, list[float](), 0.0
    for _ in range(manners.bursts):
        began, before = time.monotonic(), server.cpu()
        found = paced(endpoint, [manifest], _ASKED, 4, _BURST)
        request_cpu += server.cpu() - before
        asked += len(found.latencies)
        latencies += found.latencies
        _rest(began, manners.share)
    per_request = request_cpu / asked if server.pids and asked else None
    received, seconds, per_byte = _pulled(endpoint, images, platform, manners, server, per_request or 0.0)
    latencies.sort()
    middle, slowest = (percentile(latencies, share) for share in (0.5, 0.99))
    return Probe(received / seconds, middle, slowest, per_byte or None, per_request)


def _pulled(
    endpoint: Endpoint,
    images: Sequence[Wanted],
    platform: Platform,
    manners: Manners,
    server: Server,
    per_request: float,
) -> tuple[int, float, float]:
    """Bytes, seconds, and seconds of a core for a byte; another image comes first in each burst."""
    received, seconds, cpu = 0, 0.0, 0.0
    for number in range(manners.bursts):
        first = number * len(images) // manners.bursts
        began, before = time.monotonic(), server.cpu()
        limits = Limits(manners.rate, _BURST)
        found = visit(endpoint, (*images[first:], *images[:first]), _NODES, Pulling(platform=platform), limits)
        received, seconds = received + found.bytes, seconds + found.seconds
        cpu += server.cpu() - before - per_request * found.requests
        _rest(began, manners.share)
    return received, seconds, max(0.0, cpu) / max(1, received)


def _rest(began: float, share: float) -> None:
    time.sleep((time.monotonic() - began) * (1 / share - 1))
