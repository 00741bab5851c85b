"""A whole run with real peers, those that an operator names, and one that is interrupted."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bench.errors import BenchFailed
from bench.foreign import Foreign, visited
from bench.peers import DISTRIBUTION, NGINX, OURS, all_peers, ours
from bench.process import k0rdentd
from bench.sample import Sample
from bench.suite.field import Field, Plan
from bench.suite.latency import again_and_again, mixed
from bench.suite.pulls import nodes
from bench.suite.rates import rates
from registry.transfer.transport import Security
from tests.conftest import COMMAND

SAMPLE = Sample.make(huge=3_000_000, images=2)
FOLDER = "--storage {folder}/store --host 127.0.0.1 --port {port} --push anonymous --workers 1"


@pytest.mark.client
def test_every_section_measures_the_peers_it_is_given(tmp_path: Path) -> None:
    command = " ".join((*k0rdentd("registry"), FOLDER))
    plan = Plan(1, 0.1, connections=4, nodes=2)
    with all_peers(SAMPLE, tmp_path, [Foreign.parse(f"other={command}")]) as peers:
        field = Field(plan, SAMPLE, peers, tmp_path)
        plain, secured = (replace(field, plan=replace(plan, transports=(tls,))) for tls in (False, True))
        fewer = replace(plain, peers=(peers[0], peers[-1]))
        found = {"rates": list(rates(secured)), "nodes": list(nodes(fewer)), "mixed": list(mixed(fewer))}
    named = {name: {figure.subject for figure in figures} for name, figures in found.items()}
    assert named["rates"] == {OURS, DISTRIBUTION, NGINX}
    assert named["nodes"] == named["mixed"] == {OURS, "other"}
    assert all(figure.value > 0 for figures in found.values() for figure in figures)
    costs = [figure.details["server_us"] for figure in found["rates"] if figure.subject == OURS]
    assert any(cost > 0 for cost in costs)  # in ticks of 10 ms


def test_a_registry_that_runs_is_visited_and_left_empty(tmp_path: Path) -> None:
    with ours(Sample.make(2, huge=1000), tmp_path) as url:
        with visited(Foreign.parse(f"there={url}"), SAMPLE, tmp_path) as place:
            assert place == url
            assert httpx.get(url + SAMPLE.targets[0].path).content == SAMPLE.manifest.body
        assert httpx.get(url + SAMPLE.targets[2].path).status_code == 404
        for image in SAMPLE.fleet:
            for digest, _ in image.blobs:
                assert httpx.head(f"{url}/v2/{image.reference.repository}/blobs/{digest}").status_code == 404


def test_a_registry_with_a_ca_of_its_own_is_visited_by_who_trusts_it(tmp_path: Path) -> None:
    with ours(Sample.make(2, huge=1000), tmp_path) as url:
        secured, place = url.replace("http:", "https:"), SAMPLE.targets[0].path
        for security in (Security(tmp_path / "storage/pki/ca.crt"), Security(insecure=True)):
            foreign = Foreign.parse(f"there={secured}", security)
            with visited(foreign, SAMPLE, tmp_path) as found:
                assert found == secured
                assert httpx.get(url + place).content == SAMPLE.manifest.body
            assert httpx.get(url + place).status_code == 404
        with (
            pytest.raises(BenchFailed, match="CERTIFICATE_VERIFY_FAILED"),
            visited(Foreign.parse(f"there={secured}"), SAMPLE, tmp_path),
        ):
            pass


@pytest.mark.parametrize("text", ["", "x", "=http://a", "x=", "x=serve --port 5000"])
def test_a_peer_that_is_neither_address_nor_command_is_refused(text: str) -> None:
    with pytest.raises(BenchFailed, match="--peer"):
        Foreign.parse(text)


def test_a_command_that_runs_over_and_over_is_gone_with_its_children(tmp_path: Path) -> None:
    script = f"echo x >> {tmp_path}/ran; sleep 0.05"
    with again_and_again(("sh", "-c", script), tmp_path):
        time.sleep(0.5)
    count = len((tmp_path / "ran").read_text())
    time.sleep(0.3)
    assert len((tmp_path / "ran").read_text()) == count > 4


@pytest.mark.client
def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    command = [*COMMAND, "bench", "pull", "--quick"]
    environment = ("env", f"TMPDIR={tmp_path}")
    process = subprocess.Popen([*environment, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 40
        while not list(tmp_path.glob("*/docker-registry/config.yml")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _mentioning(tmp_path)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert list(tmp_path.iterdir()) == []
    assert _mentioning(tmp_path) == []


def _mentioning(folder: Path) -> list[str]:
    """Processes whose command line has the folder in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and "TMPDIR=" not in line and sys.argv[0] not in line:
            found.append(line)
    return found
