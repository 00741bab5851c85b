"""Slow downloads beside a quick request."""

from pathlib import Path

import pytest

from bench.errors import BenchFailed
from bench.peers import ours
from bench.sample import Sample
from bench.slow import measure, target


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True])
def test_slow_downloads_finish_and_leave_room_for_quick_requests(tmp_path: Path, *, tls: bool) -> None:
    sample = Sample.make(huge=200_000)
    quick, *_, large = sample.targets
    with ours(sample, tmp_path) as url:
        ca_file = str(tmp_path / "storage/pki/ca.crt") if tls else None
        found = measure(target(url, large.path, 200_000, 100_000, ca_file), 20, quick.path, alone=50)
    assert (found.clients, found.finished) == (20, 20)
    assert found.seconds > 1.5
    assert found.alone
    assert found.beside
    assert found.memory_peak >= found.memory_before > 1_000_000
    assert "20 of 20 downloads finished" in "\n".join(found.lines())


def test_a_probe_that_fails_is_told(tmp_path: Path) -> None:
    sample = Sample.make(huge=1000)
    with ours(sample, tmp_path) as url, pytest.raises(BenchFailed, match="answered with 404"):
        measure(target(url, sample.targets[-1].path, 1000, 1000), 2, "/v2/no/manifests/such")
