"""What /metrics says is what happened, whichever worker did it and whichever is asked."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import bcrypt
import httpx
import pytest
import yaml
from cryptography import x509

from bench.corpus import Contents
from registry.api.router import ROUTES, route_of
from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName
from registry.server.counters import Counters, Event, Gauge
from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, serving
from tests.faults.processes import wait_until
from tests.images import publish, small_image, write_blob
from tests.registry.server.scraping import scrape, value

CLIENTS, EACH = 8, 40
LAYER = 8_000_000
RULES = Path(__file__).parents[3] / "config" / "prometheus-rules.yaml"


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Digest]]:
    """A registry with an image, and the digest of its large layer."""
    folder = tmp_path_factory.mktemp("metrics")
    store = Store.open([folder / "store"])
    tree = small_image(size=LAYER)
    publish(store, tree, "app:1")
    store.close()
    with serving("-s", folder / "store", "--workers", "2", log=folder / "log") as server:
        yield server, Digest.parse(tree.below[1].digest)


def answered(server: Server, route: str, status: str = "200", method: str = "GET") -> float:
    return value(scrape(server), "registry_requests_total", method=method, route=route, status=status)


def ask(server: Server, paths: list[str]) -> int:
    """Bytes of the bodies; every request on a connection of its own, so that all workers get some."""
    return sum(len(httpx.get(server.url + path, headers={"Connection": "close"}).content) for path in paths)


def test_counts_are_exact_over_all_workers(two_workers: tuple[Server, Digest]) -> None:
    server, _ = two_workers
    good, bad = "/v2/app/manifests/1", "/v2/app/manifests/none"
    before = scrape(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        sent = sum(pool.map(lambda _: ask(server, [good, bad] * EACH), range(CLIENTS)))
    route = {"route": "manifests"}
    found = [
        ("registry_requests_total", {"method": "GET", "status": "200"}, CLIENTS * EACH),
        ("registry_requests_total", {"method": "GET", "status": "404"}, CLIENTS * EACH),
        ("registry_sent_bytes_total", {}, sent),
        ("registry_request_seconds_count", {}, 2 * CLIENTS * EACH),
        ("registry_request_seconds_bucket", {"le": "+Inf"}, 2 * CLIENTS * EACH),
        ("registry_requests_cut_total", {}, 0),
    ]

    def grown() -> list[float]:
        after = scrape(server)
        return [value(after, name, **route, **more) - value(before, name, **route, **more) for name, more, _ in found]

    wait_until(lambda: grown() == [count for _, _, count in found], f"{grown()} is not what was asked for", 5)


def test_a_killed_worker_takes_no_count_along(two_workers: tuple[Server, Digest]) -> None:
    """Nor is anything counted twice: the one after it goes on in its place."""
    server, _ = two_workers
    expected = answered(server, "tags")
    for _ in range(3):
        ask(server, ["/v2/app/tags/list"] * 20)
        expected += 20
        wait_until(partial(has_counted, server, expected), "not all is counted", 5)
        killed = server.workers[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(partial(has_replaced, server, killed), "no new worker comes", 10)
        assert answered(server, "tags") == expected


def has_counted(server: Server, count: float) -> bool:
    return answered(server, "tags") == count


def has_replaced(server: Server, worker: int) -> bool:
    return worker not in server.workers and value(scrape(server), "registry_workers") == 2


def test_what_is_open_and_what_is_cut_is_seen(two_workers: tuple[Server, Digest]) -> None:
    server, layer = two_workers
    route = {"route": "blobs"}
    before = scrape(server)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET /v2/app/blobs/{layer} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(1000)
        wait_until(lambda: value(scrape(server), "registry_open_requests") >= 1, "no open request is shown", 5)
        assert value(scrape(server), "registry_open_connections") >= 1
    wait_until(lambda: value(scrape(server), "registry_requests_cut_total", **route) == 1, "no cut is counted", 5)
    after = scrape(server)
    sent = value(after, "registry_sent_bytes_total", **route) - value(before, "registry_sent_bytes_total", **route)
    assert 0 < sent < LAYER
    assert answered(server, "blobs") == 0


def test_what_is_no_request_is_counted_too(two_workers: tuple[Server, Digest]) -> None:
    server, _ = two_workers
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 400")
    wait_until(lambda: answered(server, "other", "400", "other") == 1, "it is not counted", 5)


def test_the_store_the_load_and_the_certificate_are_shown(server: Server, bundle: tuple[Path, Contents]) -> None:
    found = scrape(server)
    named = {"bundle": str(bundle[0])}
    root = server.log.parent / "store"
    assert value(found, "load_state", state="loaded", **named) == 1
    assert value(found, "load_state", state="failed", **named) == 0
    assert value(found, "load_failed_images", **named) == 0
    assert value(found, "load_images", **named) == value(found, "store_tags") > 0
    sizes = [path.stat().st_size for path in (root / "blobs").rglob("*") if path.is_file()]
    assert (value(found, "store_blobs"), value(found, "store_blob_bytes")) == (len(sizes), sum(sizes))
    assert value(found, "store_disk_bytes", root=str(root)) > value(found, "store_disk_free_bytes", root=str(root)) > 0
    end = x509.load_pem_x509_certificate((root / "pki" / "server.pem").read_bytes()).not_valid_after_utc
    assert value(found, "registry_certificate_expiry_timestamp_seconds") == end.timestamp()


def test_what_gc_and_scrub_did_is_shown(tmp_path: Path) -> None:
    root = tmp_path / "s"
    store = Store.open([root])
    tree = small_image(size=LAYER)
    publish(store, tree, "app:1")
    layer = store.stat_blob(RepositoryName("app"), Digest.parse(tree.below[1].digest))
    stray = write_blob(store, b"nobody names it")
    os.truncate(store.blobs.path(layer.root, layer.digest), 1000)
    blobs = len(list(root.glob("blobs/*/*/*")))
    store.close()
    assert k0rdentd("store", "gc", "-s", root, "--grace", "0s").returncode == 0
    assert k0rdentd("store", "scrub", "-s", root).returncode == 1
    with serving("-s", root, log=tmp_path / "log") as server:
        found = scrape(server)
    assert {work: value(found, "store_care_complete", work=work) for work in ("gc", "scrub")} == {"gc": 1, "scrub": 1}
    assert value(found, "store_care_bytes", work="gc") == stray.size
    assert value(found, "store_care_count", work="scrub", what="damaged") == 1
    assert value(found, "store_care_count", work="scrub", what="good") == blobs - 2
    ended = value(found, "store_care_end_timestamp_seconds", work="scrub")
    assert time.time() - 60 < ended - value(found, "store_care_duration_seconds", work="scrub") <= ended < time.time()


def test_pull_authenticated_closes_metrics_too(tmp_path: Path) -> None:
    (tmp_path / "users").write_bytes(b"op:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))
    closed = ("--pull", "authenticated", "--htpasswd", tmp_path / "users")
    with serving("-s", tmp_path / "s", *closed, log=tmp_path / "log") as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        shown = httpx.get(f"{server.url}/metrics", auth=("op", "secret"))
        assert "k0rdentd_build_info" in shown.raise_for_status().text


def test_the_shipped_rules_use_metrics_that_exist(server: Server) -> None:
    names = set(re.findall(r"^# TYPE (\w+)", httpx.get(f"{server.url}/metrics").text, re.MULTILINE))
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert set(rule) >= {"alert", "expr", "labels", "annotations"}, rule
        used = set(re.findall(r"k0rdentd_\w+", rule["expr"]))
        assert used <= names, f"{rule['alert']}: {used - names}"
        assert used or "up{" in rule["expr"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/", "base"),
        ("/v2/a/b/manifests/1", "manifests"),
        ("/v2/a/manifests/", "other"),
        ("/v2/a/blobs/sha256:0", "blobs"),
        ("/v2/a/blobs/uploads", "uploads"),
        ("/v2/a/blobs/uploads/", "uploads"),
        ("/v2/a/blobs/uploads/1", "upload"),
        ("/v2/a/upload/1", "other"),
        ("/v2/uploads/uploads/1", "other"),
        ("/v2/a/tags/list", "tags"),
        ("/v2/a/tags/all", "other"),
        ("/v2/a/referrers/sha256:0", "referrers"),
        ("/v2/_catalog", "catalog"),
        ("/files/k0s", "files"),
        ("/ca.crt", "ca"),
        ("/" + "a" * 5000, "other"),
        ("", "other"),
    ],
)
def test_whatever_is_asked_for_has_one_of_few_routes(path: str, route: str) -> None:
    assert route_of(path) == route
    assert route in ROUTES


def test_slots_are_summed_and_keep_their_counts() -> None:
    counters = Counters()
    first, third = counters.tally(0), counters.tally(2)
    first.event(Event.RELOADED)
    third.event(Event.RELOADED, 2)
    third.show(Gauge.CONNECTIONS, 5)
    assert (counters.sums().event(Event.RELOADED), counters.sums().gauge(Gauge.CONNECTIONS)) == (3, 5)
    third.leave()
    assert (counters.sums().event(Event.RELOADED), counters.sums().gauge(Gauge.CONNECTIONS)) == (3, 0)
