"""How long single requests take: at fixed rates, beside pushes and slow clients, and while the store is cared for."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from bench.peers import NGINX
from bench.process import k0rdentd
from bench.results import Figure
from bench.slow import measure as measure_slow
from bench.slow import target
from bench.stock import bundle
from bench.suite.field import Field, Watch
from bench.traffic.crew import beside
from bench.traffic.endpoint import Endpoint
from bench.traffic.paced import Paced, paced
from bench.traffic.pushes import push_images

RATES = (250, 500, 1000, 2000, 4000, 8000)
BESIDE_RATE = 250
CONNECTIONS = 64
BUNDLE = 60_000_000


def latency(field: Field) -> Iterator[Figure]:
    """The manifest at every peer, ever more often, until a peer does not keep up."""
    for number, tls, begin, peers in field.turns():
        for peer in peers:
            for rate in field.plan.steps(RATES):
                found, details = _asked(field, peer.endpoint(tls=tls), rate)
                yield _figure(field, ("latency", f"{begin} manifest", peer.name, number), found, details)
                if not found.kept_up:
                    break


def mixed(field: Field) -> Iterator[Figure]:
    """The manifest while images are pushed, and how many of them."""
    for number, tls, begin, peers in field.turns():
        for peer in (peer for peer in peers if peer.name != NGINX and not tls):
            endpoint = peer.endpoint(tls=tls)
            with beside([partial(push_images, endpoint, field.plan.seconds + 1, number)]) as pushing:
                found, details = _asked(field, endpoint, BESIDE_RATE)
                [count] = pushing.results()
            place = ("mixed", f"{begin} manifest beside pushes", peer.name, number)
            yield _figure(field, place, found, details)
            place = ("mixed", f"{begin} pushes of 1 MiB beside pulls", peer.name, number)
            yield field.figure(place, round(count / (field.plan.seconds + 1), 1), "pushes/s", {})


def slow(field: Field) -> Iterator[Figure]:
    """The manifest while many clients take a large blob slowly."""
    clients, seconds, alone = (200, 2, 50) if field.plan.is_short else (1000, 6, 300)
    manifest, *_, large = field.sample.targets
    rate = min(100_000, len(large.body) // seconds)
    for number, tls, begin, peers in field.turns():
        for peer in peers if number == 0 and not tls else ():
            download = target(peer.url, large.path, rate * seconds, rate)
            found = measure_slow(download, clients, manifest.path, alone)
            values = sorted(found.beside)
            told = Paced(100, found.seconds, values, (), 0, 0, 1)
            details = {"finished": found.finished, "clients": clients, "memory": found.memory_peak}
            place = ("slow", f"{begin} manifest beside {clients} slow clients", peer.name, number)
            yield _figure(field, place, told, details)


def care(field: Field) -> Iterator[Figure]:
    """The manifest of ours alone, and while its store is collected, scrubbed, or loaded into."""
    storage = field.folder / field.ours.name / "storage"
    made = bundle(field.folder / "stock", BUNDLE)
    chores = {
        "alone": (),
        "while gc runs": k0rdentd("store", "gc", "-s", storage),
        "while scrub runs": k0rdentd("store", "scrub", "-s", storage, "--restart"),
        "while a load runs": k0rdentd("load", made.path, "-s", storage, "--no-verify", "--progress", "plain"),
    }
    for number in range(field.plan.rounds):
        for name, command in chores.items():
            with again_and_again(command, field.folder):
                found, details = _asked(field, field.ours.endpoint(), BESIDE_RATE)
            yield _figure(field, ("beside", f"HTTP manifest {name}", field.ours.name, number), found, details)


@contextmanager
def again_and_again(command: Sequence[str], folder: Path) -> Iterator[None]:
    """Run a command over and over while the block runs; none if it is empty."""
    if not command:
        yield
        return
    loop = ("sh", "-c", 'while "$@"; do :; done', "sh", *command)
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(loop, cwd=folder, stdout=nothing, stderr=nothing, start_new_session=True)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _asked(field: Field, endpoint: Endpoint, rate: float) -> tuple[Paced, dict[str, float]]:
    watch = Watch(endpoint)
    found = paced(endpoint, [field.sample.targets[0].request], rate, CONNECTIONS, field.plan.seconds)
    return found, watch.told()


def _figure(field: Field, place: tuple[str, str, str, int], found: Paced, details: Mapping[str, float]) -> Figure:
    """The value is the 99th percentile; one that did not keep up says so."""
    told = {name: round(value, 3) for name, value in found.percentiles().items() if value < _NEVER}
    more = {"kept_up": float(found.kept_up), "unanswered": float(found.unanswered), "requests": len(found.latencies)}
    return field.figure(place, told.get("p99", _NEVER), "ms", {**details, **told, **more}, found.rate)


_NEVER = 1e6
