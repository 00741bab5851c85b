"""Loading a bundle against unpacking it, in interleaved rounds on the same disk."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.earlier import unpack_and_push
from bench.footprint import Footprint, footprint
from bench.neighbours import Usage
from bench.process import k0rdentd, run
from bench.spread import Spread, rotated
from bench.stock import Bundle

LOAD, TAR, EARLIER = "k0rdentd load", "tar -xzf", "tar, then 5 skopeo"
UNVERIFIED = ("--no-verify",)  # none of the peers checks a signature


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to deal with one bundle; `run` gets it and an empty directory, and tells how many seconds it took."""

    name: str
    bundle: Bundle
    run: Callable[[Bundle, Path], float]


@dataclass(frozen=True, slots=True)
class Timing:
    """One measurement; `others` is how many cores other programs kept busy meanwhile."""

    round: int
    contender: str
    seconds: float
    others: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contenders measured together, the one of interest first."""

    size: int
    """Bytes of the outer tar, which is the same for all."""
    contenders: tuple[str, ...]
    timings: tuple[Timing, ...]

    def seconds(self, contender: str) -> list[float]:
        """What one contender took, round by round."""
        chosen = [timing for timing in self.timings if timing.contender == contender]
        return [timing.seconds for timing in sorted(chosen, key=lambda timing: timing.round)]

    def speed(self, contender: str) -> Spread:
        """How many times as fast as this contender the first one is."""
        return Spread.of_ratios(self.seconds(contender), self.seconds(self.contenders[0]))


def against_tar(bundle: Bundle) -> tuple[Contender, ...]:
    """Our loader, and what only unpacks: it neither verifies, nor deduplicates, nor waits for the disk."""
    return Contender(LOAD, bundle, load), Contender(TAR, bundle, extract)


def against_earlier(bundle: Bundle) -> tuple[Contender, ...]:
    """Our loader, and all that the earlier tool does."""
    return Contender(LOAD, bundle, load), Contender(EARLIER, bundle, unpack_and_push)


def among_sources(bundles: Sequence[Bundle]) -> tuple[Contender, ...]:
    """Our loader, from each kind of source."""
    return tuple(Contender(f"{LOAD} {bundle.form}", bundle, load) for bundle in bundles)


def measure(contenders: Sequence[Contender], folder: Path, rounds: int) -> Iterator[Timing]:
    """Every contender, again and again, each time in the same empty directory, on a disk that has come to rest."""
    for number in range(rounds):
        for contender in rotated(contenders, number):
            with_nothing(folder)
            before = Usage.now()
            seconds = contender.run(contender.bundle, folder)
            yield Timing(number, contender.name, seconds, Usage.now().others_since(before))
    shutil.rmtree(folder, ignore_errors=True)


def peak(bundle: Bundle, folder: Path, options: Sequence[str] = UNVERIFIED) -> Footprint:
    """What a load takes; watched in a run of its own, so that no timing pays for it."""
    with_nothing(folder)
    command = k0rdentd(*_load(bundle, folder, options))
    found = footprint(command, folder / "scratch", folder / "storage")
    shutil.rmtree(folder)
    return found


def load(bundle: Bundle, folder: Path, options: Sequence[str] = UNVERIFIED) -> float:
    """Seconds until the store in `folder` holds the bundle, durable, every digest checked."""
    return _timed(*k0rdentd(*_load(bundle, folder, options)))


def _load(bundle: Bundle, folder: Path, options: Sequence[str]) -> tuple[str | Path, ...]:
    return ("load", bundle.path, "-s", folder / "storage", "--progress", "plain", *options)


def extract(bundle: Bundle, folder: Path) -> float:
    """Seconds until tar has unpacked the bundle into the page cache; it waits for no disk."""
    return _timed("tar", "-xzf", str(bundle.path), "-C", str(folder))


def with_nothing(folder: Path) -> None:
    """Make `folder` an empty directory, and let the disk finish what it has been told before."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()


def _timed(*command: str) -> float:
    started = time.monotonic()
    run(*command)
    return time.monotonic() - started
