"""Figures, what they say, and what is too close to say."""

from pathlib import Path

import orjson
import pytest

from bench.changes import changes
from bench.errors import BenchFailed
from bench.gathered import gathered
from bench.machine import Machine
from bench.peers import DISTRIBUTION, NGINX, OURS
from bench.results import Figure, Results, judged, judged_at_most, standing
from bench.spread import Spread
from bench.tables import tables
from bench.verdicts import verdicts

MACHINE = Machine(2, "CPU", "6.1", "3.11", 0.1)


def rate(subject: str, number: int, value: float, case: str = "HTTP manifest", unit: str = "requests/s") -> Figure:
    return Figure("rates", case, subject, number, value, unit, details={"server_us": 50, "memory": 6e7})


def results(*figures: Figure) -> Results:
    return Results(MACHINE, {"k0rdentd": "1"}, "k0rdentd bench pull", "2026-01-01T00:00:00Z", 9, figures, ())


def outcomes(*figures: Figure) -> list[str]:
    return [verdict.outcome for verdict in verdicts(figures)]


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    found = results(rate(OURS, 0, 5), rate(NGINX, 0, 9))
    (tmp_path / "a.json").write_bytes(found.to_json())
    assert gathered([tmp_path / "a.json"]).judged(()) == found


def test_results_of_several_commands_are_those_of_one(tmp_path: Path) -> None:
    load = {
        "machine": orjson.loads(results().to_json())["machine"],
        "comparisons": [
            {"size": 10**9, "timings": [{"round": 0, "contender": "k0rdentd load", "seconds": 3.0, "others": 0.1}]}
        ],
    }
    (tmp_path / "a.json").write_bytes(results(rate(OURS, 0, 5)).to_json())
    (tmp_path / "b.json").write_bytes(orjson.dumps(load))
    joined = gathered([tmp_path / "a.json", tmp_path / "b.json"])
    assert [(figure.section, figure.x) for figure in joined.figures] == [("rates", 0), ("load", 10**9)]
    assert joined.command.endswith("; k0rdentd bench load")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"schema": 99}', b'{"comparisons": 1, "machine": {}}'])
def test_other_files_are_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.json").write_bytes(body)
    with pytest.raises(BenchFailed, match=r"a\.json"):
        gathered([tmp_path / "a.json"])


def test_a_claim_holds_in_every_round_or_is_too_close_to_tell() -> None:
    found = (judged("", Spread(*values), 2).outcome for values in ((2, 3, 4), (1.9, 3, 4), (1, 1.5, 1.9)))
    assert list(found) == ["holds", "tie", "fails"]
    most = (judged_at_most("", Spread(*values), 2).outcome for values in ((1, 1.5, 2), (1, 3, 4), (2.1, 3, 4)))
    assert list(most) == ["holds", "tie", "fails"]


def test_one_round_tells_nothing_of_the_noise() -> None:
    assert judged("", Spread(2.1, 2.1, 2.1, count=1), 2).outcome == "tie"
    assert judged("", Spread(3, 3, 3, count=1), 2).outcome == "holds"


def test_a_ratio_around_one_is_a_tie() -> None:
    assert standing(Spread(0.9, 1.05, 1.1)) == "a tie"
    assert standing(Spread(1.2, 1.3, 1.4)) == "1.30 times"


def test_ratios_are_taken_round_by_round() -> None:
    figures = [rate(OURS, 0, 50), rate(DISTRIBUTION, 0, 10), rate(OURS, 1, 10), rate(DISTRIBUTION, 1, 2.4)]
    [told] = [verdict for verdict in verdicts(figures) if "docker-registry" in verdict.claim]
    assert (told.found, told.outcome) == ("4.17 / 4.58 / 5.00", "holds")


def test_what_does_not_reach_its_peer_fails() -> None:
    blobs = [
        rate(name, number, value, "HTTP 1 MiB blob", "MB/s")
        for number in (0, 1)
        for name, value in ((OURS, 8 + number / 10), (NGINX, 10))
    ]
    assert "fails" in outcomes(*blobs)


def test_the_cost_of_a_request_may_not_grow_with_connections() -> None:
    def cost(x: float, number: int, us: float) -> Figure:
        return Figure("concurrency", "HTTP manifest", OURS, number, 1, "requests/s", x, {"server_us": us})

    flat = [cost(x, number, 50 + number) for number in (0, 1) for x in (1, 1000)]
    grown = [cost(x, number, us + number) for number in (0, 1) for x, us in ((1, 50), (1000, 80))]
    assert outcomes(*flat) == ["holds"]
    assert outcomes(*grown) == ["fails"]


def test_memory_that_grows_is_found() -> None:
    def seen(growth: float) -> list[Figure]:
        return [
            Figure("latency", "c", OURS, 0, 1, "ms", details={"memory": 6e7 + growth * at}, at=at) for at in range(40)
        ]

    assert outcomes(*seen(0)) == ["holds"]
    assert outcomes(*seen(2e6)) == ["fails"]


def test_a_busy_generator_is_told() -> None:
    figure = Figure("rates", "HTTP manifest", NGINX, 0, 1, "requests/s", details={"generator_share": 0.97})
    assert outcomes(figure) == ["fails"]


def test_tables_have_medians_and_ratios_and_say_what_is_a_tie() -> None:
    figures = [rate(name, number, value) for number in range(3) for name, value in ((OURS, 100 + number), (NGINX, 101))]
    [table] = tables(figures)
    assert table.head == ("measured", "unit", OURS, NGINX, "k0rdentd / nginx", "CPU/request")
    assert table.rows == (("HTTP manifest", "requests/s", "101", "101", "0.99 / 1.00 / 1.01, a tie", "50 us"),)


def test_what_became_worse_is_marked_and_noise_is_not() -> None:
    before = [rate(OURS, number, 100 + number) for number in range(3)]
    cases = {"worse": 80.0, "same": 101.0, "better": 130.0}
    found = {
        name: changes([rate(OURS, n, value + n) for n in range(3)], before)[0].kind for name, value in cases.items()
    }
    assert found == {name: name for name in cases}


def test_one_round_marks_nothing_but_what_is_far_apart() -> None:
    assert changes([rate(OURS, 0, 80)], [rate(OURS, 0, 100)])[0].kind == "same"
    assert changes([rate(OURS, 0, 50)], [rate(OURS, 0, 100)])[0].kind == "worse"


def test_of_a_latency_more_is_worse() -> None:
    def took(ms: float) -> list[Figure]:
        return [Figure("latency", "HTTP manifest", OURS, number, ms + number / 10, "ms", 500) for number in range(2)]

    assert changes(took(3), took(1))[0].kind == "worse"
    assert changes(took(1), took(3))[0].kind == "better"
