"""What a site is told: the arithmetic, and a real registry with a bundle in it."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.errors import BenchFailed
from bench.layout import index
from bench.site.forecast import HEADERS, Ground, forecast
from bench.site.ground import disk_rate, encryption_seconds, memory_available
from bench.site.probe import Probe
from bench.site.survey import Survey
from bench.traffic.script import Wanted
from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.e2e.users import ALICE, write_htpasswd
from tests.images import publish, small_image

GB = 10**9
SURVEY = Survey((Wanted("a", "1"),), {"sha256:1": 10 * GB}, 0)
PROBE = Probe(2e9, 0.001, 0.002, 0.2e-9, 50e-6)
GROUND = Ground(cores=4, memory=20 * GB, disk=0.5e9, link=1.25e9, node_link=1.25e9, encryption=0.3e-9)


def test_the_slowest_part_is_the_bottleneck() -> None:
    told = forecast(SURVEY, PROBE, GROUND, 10, tls=False)
    assert told.bottleneck == "NIC"
    assert told.seconds == pytest.approx(100 * GB / (1.25e9 * HEADERS))


def test_a_slow_disk_is_read_once_if_memory_holds_all_and_for_every_node_if_not() -> None:
    slow = replace(GROUND, disk=0.1e9)
    assert forecast(SURVEY, PROBE, slow, 10, tls=False).seconds == pytest.approx(100)
    small = forecast(SURVEY, PROBE, replace(slow, memory=GB), 10, tls=False)
    assert small.bottleneck == "disk"
    assert small.seconds == pytest.approx(1000)


def test_encryption_is_named_where_it_is_most_of_what_the_processor_does() -> None:
    busy = replace(PROBE, cpu_per_byte=0.5e-9)
    fast = replace(GROUND, link=None, node_link=None, disk=None)
    assert forecast(SURVEY, busy, fast, 10, tls=True).bottleneck == "TLS"
    assert forecast(SURVEY, busy, fast, 10, tls=False).bottleneck == "CPU"
    assert forecast(SURVEY, replace(busy, cpu_per_byte=5e-9), fast, 10, tls=True).bottleneck == "CPU"


def test_of_a_registry_elsewhere_only_what_comes_is_known() -> None:
    elsewhere = replace(PROBE, cpu_per_byte=None, cpu_per_request=None)
    told = forecast(SURVEY, elsewhere, replace(GROUND, link=None, disk=None, node_link=None), 10, tls=True)
    assert (told.bottleneck, told.seconds) == ("the way to the registry", 50)


def test_what_a_short_look_could_not_tell_is_said_to_be_unknown() -> None:
    told = forecast(SURVEY, replace(PROBE, cpu_per_byte=None), GROUND, 10, tls=False)
    way = next(limit for limit in told.limits if limit.name == "the way to the registry")
    assert "what a byte costs could not be told" in way.told
    cheap = forecast(SURVEY, replace(PROBE, cpu_per_byte=0.0042e-9), GROUND, 10, tls=False)
    assert any("0.0042 s of a core for a GB" in limit.told for limit in cheap.limits)


def test_the_machine_tells_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "blobs/sha256/ab").mkdir(parents=True)
    (tmp_path / "blobs/sha256/ab/abcd").write_bytes(bytes(8_000_000))
    assert disk_rate([tmp_path], 0.1, 1) is None or disk_rate([tmp_path], 0.1, 1)  # tmpfs reads only through the cache
    assert disk_rate([tmp_path / "none"], 0.1, 1) is None
    assert 1e-11 < encryption_seconds() < 1e-6
    assert memory_available() > 1_000_000


def test_a_registry_is_foretold_and_left_as_it_was(server: Server, tmp_path: Path) -> None:
    arguments = ["site", server.url, "--seconds", "4", "--share", "0.5", "--link", "1G", "--nodes", "20"]
    arguments += ["--json", str(tmp_path / "out.json")]
    outcome = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert "images" in outcome.output
    assert "20 nodes have pulled everything after" in outcome.output
    assert "not known: disk (--storage)" in outcome.output
    document = orjson.loads((tmp_path / "out.json").read_bytes())
    assert document["survey"]["images"] > 5
    assert document["probe"]["cpu_per_request"] is not None
    assert {limit["name"] for limit in document["forecast"]["limits"]} >= {"NIC", "node NIC"}


def test_a_registry_that_asks_who_we_are_is_foretold_to_its_users_alone(store: Store, tmp_path: Path) -> None:
    publish(store, small_image(size=300_000), "app:1")
    root, password = store.layout.root, tmp_path / "password"
    password.write_text(ALICE.password)
    closed = ("--htpasswd", write_htpasswd(tmp_path), "--pull", "authenticated", "--workers", "1")
    partial = publish(store, index([small_image(size=5), small_image(arch="arm64")]), "partial:1")
    (child,) = orjson.loads(store.get_manifest(RepositoryName("partial"), partial).body)["manifests"][:1]
    store.delete_manifest(RepositoryName("partial"), Digest.parse(child["digest"]))
    with serving("-s", root, *closed, log=tmp_path / "log") as server:
        url = server.url.replace("http:", "https:")
        arguments = ["site", url, "--ca-file", str(store.layout.ca_certificate), "--seconds", "4", "--share", "1"]
        login = ["--username", ALICE.name, "--password-file", str(password)]
        outcome = CliRunner().invoke(bench, [*arguments, *login], catch_exceptions=False)
        assert "10 nodes have pulled everything after" in outcome.output
        assert ": 1 images, 2 blobs" in outcome.output
        assert "; 1 names have nothing for it" in outcome.output
        password.write_text("wrong")
        with pytest.raises(BenchFailed, match="does not let us in"):
            CliRunner().invoke(bench, [*arguments, *login], catch_exceptions=False)
        with pytest.raises(BenchFailed, match=r"cannot be surveyed: \S+/v2/_catalog\?n=500 answers 401$"):
            CliRunner().invoke(bench, arguments, catch_exceptions=False)


def test_nobody_there_is_told() -> None:
    with pytest.raises(BenchFailed, match="does not let us in"):
        CliRunner().invoke(bench, ["site", "http://127.0.0.1:1"], catch_exceptions=False)


@pytest.mark.parametrize("speed", ["fast", "10", "G"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    outcome = CliRunner().invoke(bench, ["site", "http://localhost:1", "--link", speed])
    assert outcome.exit_code == 2
    assert "is no speed of a network card" in outcome.output
