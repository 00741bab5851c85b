"""Requests and bytes a second, in a closed loop; and how both and their cost grow with the connections."""

from collections.abc import Iterator
from dataclasses import replace

from bench.results import Figure
from bench.sample import LARGE, Target
from bench.suite.field import Field, Watch
from bench.traffic.endpoint import Endpoint
from bench.traffic.flood import Flood, flood

CONNECTIONS = (1, 4, 16, 64, 256, 1000)


def rates(field: Field) -> Iterator[Figure]:
    """Every target at every peer; of blobs from 1 MiB up the bytes count, as few end within a measurement."""
    for number, tls, begin, peers in field.turns():
        for target in field.sample.targets:
            for peer in peers:
                endpoint = peer.endpoint(tls=tls)
                value, unit, details = measured(endpoint, target, field.plan.connections, field.plan.seconds)
                yield field.figure(("rates", f"{begin} {target.name}", peer.name, number), value, unit, details)


def concurrency(field: Field) -> Iterator[Figure]:
    """The manifest at every peer, over ever more connections; by one transport, the plain one if it is measured."""
    manifest, one = field.sample.targets[0], replace(field.plan, transports=field.plan.transports[:1])
    for number, tls, begin, peers in replace(field, plan=one).turns():
        for connections in field.plan.steps(CONNECTIONS):
            for peer in peers:
                value, unit, details = measured(peer.endpoint(tls=tls), manifest, connections, field.plan.seconds)
                place = ("concurrency", f"{begin} {manifest.name}", peer.name, number)
                yield field.figure(place, value, unit, details, connections)


def measured(
    endpoint: Endpoint, target: Target, connections: int, seconds: float
) -> tuple[float, str, dict[str, float]]:
    """The value, its unit, and what it took."""
    watch = Watch(endpoint)
    found = flood(endpoint, target.request, connections, seconds)
    details = {**watch.told(), **_generator(found)}
    asked = found.bytes / target.size if target.size else found.answers
    if "server_cpu" in details and asked:
        details["server_us"] = round(details["server_cpu"] / asked * 1e6, 2)
    if target.size >= LARGE:
        return round(found.bytes / found.seconds / 1e6, 2), "MB/s", details
    return round(found.answers / found.seconds, 1), "requests/s", details


def _generator(found: Flood) -> dict[str, float]:
    return {"generator_share": round(found.share, 3), "answers": found.answers}
