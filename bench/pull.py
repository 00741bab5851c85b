"""Pull throughput of our registry against real peers, in interleaved rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.neighbours import Usage
from bench.peers import DISTRIBUTION, NGINX, OURS, Peer
from bench.sample import Sample, Target
from bench.spread import Spread, rotated
from bench.wrk import run_wrk


@dataclass(frozen=True, slots=True)
class Pull:
    """One measurement: `rate` in requests a second, `others` in cores that other programs kept busy meanwhile."""

    round: int
    target: str
    peer: str
    rate: float
    others: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What the median ratio to a peer must reach at least."""

    target: str
    peer: str
    least: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a demand was met."""

    demand: Demand
    ratio: Spread

    @property
    def holds(self) -> bool:
        return self.ratio.median >= self.demand.least


DEMANDS = (
    Demand("manifest", DISTRIBUTION, 3),
    Demand("4 KiB blob", DISTRIBUTION, 4),
    Demand("1 MiB blob", DISTRIBUTION, 3),
    Demand("1 MiB blob", NGINX, 0.9),
)
TLS_DEMANDS = (
    Demand("1 MiB blob", NGINX, 0.85),
    Demand("256 MiB blob", NGINX, 0.85),
)


def measure(sample: Sample, peers: Sequence[Peer], rounds: int, seconds: int) -> Iterator[Pull]:
    """Every target at every peer, again and again; who goes first changes with the round."""
    for number in range(rounds):
        for target in sample.targets:
            for peer in rotated(peers, number):
                before = Usage.now()
                found = run_wrk(peer.url + target.path, seconds, sample.manifest.media_type)
                rate = found.rate(len(target.body))
                yield Pull(number, target.name, peer.name, rate, Usage.now().others_since(before))


def rates(pulls: Sequence[Pull], target: str, peer: str) -> list[float]:
    """What one peer did with one target, round by round."""
    chosen = [pull for pull in pulls if (pull.target, pull.peer) == (target, peer)]
    return [pull.rate for pull in sorted(chosen, key=lambda pull: pull.round)]


def ratio(pulls: Sequence[Pull], target: str, peer: str) -> Spread:
    """Ours over that of the peer."""
    return Spread.of_ratios(rates(pulls, target, OURS), rates(pulls, target, peer))


def verdicts(pulls: Sequence[Pull], demands: Sequence[Demand] = DEMANDS) -> tuple[Verdict, ...]:
    """How each demand was met."""
    return tuple(Verdict(demand, ratio(pulls, demand.target, demand.peer)) for demand in demands)


def megabytes(target: Target, rate: float) -> float:
    """Bodies alone, in MB a second."""
    return len(target.body) * rate / 1e6
