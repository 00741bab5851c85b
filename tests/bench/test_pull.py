from bench.peers import DISTRIBUTION, NGINX, OURS
from bench.pull import DEMANDS, TLS_DEMANDS, Demand, Pull, Verdict, megabytes, rates, ratio, verdicts
from bench.report import others_line, pull_table, verdict_lines
from bench.sample import HUGE, LARGE, SMALL, Sample
from bench.spread import Spread

PEERS = {OURS: 4000.0, DISTRIBUTION: 1000.0, NGINX: 8000.0}
TARGETS = Sample.make().targets


def pulls(rounds: int = 2) -> list[Pull]:
    """Every target at every peer; each round is half as fast as the one before it."""
    spread = ((number, target.name, peer) for number in range(rounds) for target in TARGETS for peer in PEERS)
    return [Pull(number, target, peer, PEERS[peer] / 2**number, others=0.1) for number, target, peer in spread]


def test_the_sample_is_one_small_manifest_and_blobs_of_three_sizes() -> None:
    manifest, small, large, huge = TARGETS
    assert 500 < len(manifest.body) < 2_000
    assert (len(small.body), len(large.body), len(huge.body)) == (SMALL, LARGE, HUGE)


def test_the_sample_is_the_same_for_a_seed() -> None:
    assert Sample.make(7, LARGE) == Sample.make(7, LARGE)
    assert Sample.make(7, LARGE).digest != Sample.make(8, LARGE).digest


def test_rates_come_round_by_round() -> None:
    assert rates(pulls(3)[::-1], "manifest", DISTRIBUTION) == [1000, 500, 250]


def test_a_ratio_compares_within_a_round() -> None:
    assert ratio(pulls(3), "1 MiB blob", NGINX) == Spread(0.5, 0.5, 0.5)


def test_every_demand_gets_a_verdict() -> None:
    found = verdicts(pulls())
    assert [verdict.demand for verdict in found] == list(DEMANDS)
    assert [verdict.holds for verdict in found] == [True, True, True, False]


def test_tls_has_demands_of_its_own() -> None:
    found = verdicts(pulls(), TLS_DEMANDS)
    assert [(verdict.demand.target, verdict.demand.peer) for verdict in found] == [
        ("1 MiB blob", NGINX),
        ("256 MiB blob", NGINX),
    ]


def test_a_demand_holds_by_the_median() -> None:
    assert Verdict(Demand("manifest", DISTRIBUTION, 3), Spread(2, 3, 9)).holds
    assert not Verdict(Demand("manifest", DISTRIBUTION, 3), Spread(2, 2.9, 9)).holds


def test_megabytes_count_bodies_alone() -> None:
    assert megabytes(TARGETS[2], 1000) == 1048.576


def test_the_table_has_a_line_for_every_target_at_every_peer() -> None:
    lines = list(pull_table(pulls(), TARGETS, list(PEERS)))
    assert len(lines) == 1 + len(TARGETS) * len(PEERS)
    assert lines[1].split() == ["manifest", "k0rdentd", "3,000", "2"]
    assert lines[2].endswith("4.00 / 4.00 / 4.00")


def test_the_verdicts_are_told_in_words() -> None:
    told = list(verdict_lines(verdicts(pulls())))
    assert told[1] == "4 KiB blob >= 4 x docker-registry: 4.00, holds"
    assert told[3] == "1 MiB blob >= 0.9 x nginx: 0.50, DOES NOT HOLD"


def test_a_busy_machine_is_told() -> None:
    assert others_line(pulls()).endswith("0.10 / 0.10 / 0.10")
