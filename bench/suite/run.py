"""A whole run: peers are started, sections measured one after the other, and everything is gone at the end."""

import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from pathlib import Path
from types import FrameType

from bench.foreign import Foreign
from bench.peers import DISTRIBUTION, NGINX, OURS, all_peers
from bench.process import said
from bench.results import Figure
from bench.sample import Sample
from bench.suite.check import WRK, generator
from bench.suite.field import Field, Plan
from bench.suite.latency import care, latency, mixed, slow
from bench.suite.pulls import nodes
from bench.suite.rates import concurrency, rates
from bench.suite.scaling import index_size, workers

SECTIONS: Mapping[str, Callable[[Field], Iterator[Figure]]] = {
    "generator": generator,
    "rates": rates,
    "latency": latency,
    "concurrency": concurrency,
    "nodes": nodes,
    "mixed": mixed,
    "slow": slow,
    "beside": care,
    "workers": workers,
    "index": index_size,
}
_IMAGES = 6


def measure(plan: Plan, sections: Sequence[str], foreign: Sequence[Foreign]) -> Iterator[Figure]:
    """The figures of these sections, as they are found.

    Raises:
        BenchFailed: a peer does not serve as it should.
    """
    sample = Sample.make(images=_IMAGES)
    with ExitStack() as stack:
        stack.enter_context(interruptible())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k0rdentd-bench-")))
        field = Field(plan, sample, stack.enter_context(all_peers(sample, folder, foreign)), folder)
        for name in sections:
            yield from SECTIONS[name](field)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end a measurement as Ctrl-C does: nothing that it started or wrote stays."""
    names = (signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, _interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def versions() -> dict[str, str]:
    """Of us and of those we measure against, as they tell them."""
    try:
        own = distribution_version("k0rdentd")
    except PackageNotFoundError:
        own = "from its source"
    found = {OURS: own}
    for name, command in {
        NGINX: ("nginx", "-v"),
        DISTRIBUTION: ("docker-registry", "--version"),
        WRK: ("wrk", "-v"),
    }.items():
        if (text := said(*command)) is not None:
            found[name] = text.splitlines()[0] if text else "?"
    return found


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
