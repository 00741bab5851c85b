import pytest

from bench.errors import BenchFailed
from bench.wrk import Outcome

GOOD = """\
Running 1s test @ http://127.0.0.1:5000/v2/
  2 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   155.27us  104.42us   3.25ms   93.35%
    Req/Sec    47.05k     4.32k   52.94k    77.27%
  102968 requests in 1.10s, 63.34MB read
Requests/sec:  93631.87
Transfer/sec:     57.60MB
"""
BAD = """\
  12 requests in 1.10s, 3.34KB read
  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 12
Requests/sec:     10.90
Transfer/sec:      3.03KB
"""


def test_the_rate_is_read_from_what_wrk_prints() -> None:
    assert Outcome.parse(GOOD) == Outcome(93631.87, 57.6 * 1024**2, 0, 0)


def test_a_clean_run_gives_its_rate() -> None:
    assert Outcome.parse(GOOD).checked("http://peer").rate(1000) == 93631.87


def test_what_is_huge_is_counted_by_its_bytes() -> None:
    assert Outcome.parse(GOOD).rate(576 * 1024**2) == 0.1


def test_errors_of_all_kinds_are_counted() -> None:
    assert Outcome.parse(BAD) == Outcome(10.9, 3.03 * 1024, 12, 4321)


@pytest.mark.parametrize("outcome", [Outcome(10.9, 1, 1, 0), Outcome(10.9, 1, 0, 1)])
def test_a_run_with_errors_is_no_measurement(outcome: Outcome) -> None:
    with pytest.raises(BenchFailed, match="http://peer"):
        outcome.checked("http://peer")


def test_text_without_a_rate_is_refused() -> None:
    with pytest.raises(BenchFailed, match="unable to connect"):
        Outcome.parse("unable to connect to 127.0.0.1:1 Connection refused")
