"""From what was measured to how long all nodes pull: arithmetic alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.site.probe import Probe
from bench.site.survey import Survey
from registry.units import human

HEADERS = 0.94
"""What is left of a network card's speed for bytes of bodies (Ethernet, IP, TCP)."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What the machine has; bytes a second, None where it is not known."""

    cores: int
    memory: int
    disk: float | None
    link: float | None
    node_link: float | None
    encryption: float
    """Seconds of a core that TLS takes for a byte."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that all pulls have to pass, and the seconds that they keep it busy."""

    name: str
    seconds: float
    told: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """All limits, the tightest first; pulls take at least as long as that one."""

    nodes: int
    bytes: int
    limits: tuple[Limit, ...]

    @property
    def seconds(self) -> float:
        return self.limits[0].seconds

    @property
    def bottleneck(self) -> str:
        return self.limits[0].name


def forecast(survey: Survey, probe: Probe, ground: Ground, nodes: int, *, tls: bool) -> Forecast:
    """For `nodes` that all want everything at the same time."""
    found = sorted(_limits(survey, probe, ground, nodes, tls=tls), key=lambda limit: limit.seconds, reverse=True)
    return Forecast(nodes, survey.bytes, tuple(found))


def _limits(survey: Survey, probe: Probe, ground: Ground, nodes: int, *, tls: bool) -> Iterator[Limit]:
    total = nodes * survey.bytes
    if ground.link is not None:
        rate = ground.link * HEADERS
        yield Limit("NIC", total / rate, f"the network card here gives {human(int(rate))} a second")
    if ground.node_link is not None:
        rate = ground.node_link * HEADERS
        yield Limit("node NIC", survey.bytes / rate, f"a node's network card takes {human(int(rate))} a second")
    if ground.disk is not None:
        fits = survey.bytes < ground.memory
        told = "is read once, memory holds it all" if fits else "is read again and again, memory does not hold it all"
        seconds = (survey.bytes if fits else total) / ground.disk
        yield Limit("disk", seconds, f"{human(int(ground.disk))} a second; everything {told}")
    yield from _processor(survey, probe, ground, nodes, tls=tls)


def _processor(survey: Survey, probe: Probe, ground: Ground, nodes: int, *, tls: bool) -> Iterator[Limit]:
    total = nodes * survey.bytes
    if probe.cpu_per_byte is None or probe.cpu_per_request is None:
        told = f"{human(int(probe.bytes_per_second))} a second came from there, whatever the reason"
        if probe.cpu_per_request is not None:
            told += "; what a byte costs could not be told: allow more --seconds or --share"
        yield Limit("the way to the registry", total / probe.bytes_per_second, told)
        return
    bodies, requests = probe.cpu_per_byte * total, probe.cpu_per_request * nodes * survey.requests
    encrypted = min(bodies, ground.encryption * total) if tls else 0.0
    name = "TLS" if encrypted > (bodies + requests) / 2 else "CPU"
    told = f"{probe.cpu_per_byte * 1e9:.2g} s of a core for a GB and {probe.cpu_per_request * 1e6:.0f} us for a request"
    yield Limit(name, (bodies + requests) / ground.cores, f"{told}, {ground.cores} cores")
