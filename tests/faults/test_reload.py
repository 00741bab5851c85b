"""SIGHUP and SIGUSR2 under load: settings and programs change, and no client notices."""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import bcrypt
import httpx
import pytest

from registry.oci.digest import Digest
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.faults.processes import alive, wait_until
from tests.faults.test_stop import body_of, slow_download
from tests.images import publish, small_image
from tests.registry.server.scraping import scrape, value

LAYER = 12_000_000
CLIENTS = 16


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Digest]:
    """A store, and the digest of a large layer in it."""
    root = tmp_path_factory.mktemp("reload") / "store"
    store = Store.open([root])
    tree = small_image(size=LAYER)
    publish(store, tree, "app:1")
    store.close()
    return root, Digest.parse(tree.below[1].digest)


class Pulling:
    """Clients that pull without a pause, half of them on connections that stay; whatever fails is kept."""

    def __init__(self, server: Server, digest: Digest) -> None:
        self._server = server
        self._digest = digest
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        self.counts = [0] * CLIENTS
        self.failures: list[Exception] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def go_on(self) -> None:
        """Until each client has had twenty more answers."""
        goals = [count + 20 for count in self.counts]
        wait_until(
            lambda: bool(self.failures) or all(count >= goal for count, goal in zip(self.counts, goals, strict=True)),
            "clients are held up",
            30,
        )
        assert not self.failures, self.failures

    def _run(self, number: int) -> None:
        headers = {"Connection": "close"} if number % 2 else {}
        with httpx.Client(base_url=self._server.url, headers=headers, timeout=20) as client:
            try:
                while not self._done.is_set():
                    client.get("/v2/app/manifests/1").raise_for_status()
                    part = client.get(f"/v2/app/blobs/{self._digest}", headers={"Range": "bytes=0-99999"})
                    assert (part.status_code, len(part.content)) == (206, 100_000)
                    self.counts[number] += 1
            except Exception as error:  # noqa: BLE001  # told by go_on
                self.failures.append(error)


@contextmanager
def configured(path: Path, text: str) -> Iterator[None]:
    """A configuration file for the registries that are started inside of the block."""
    path.write_text(text)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("K0RDENTD_CONFIG_FILE", str(path))
        yield


def test_a_reload_under_load_fails_no_request_and_cuts_no_transfer(stored: tuple[Path, Digest], tmp_path: Path) -> None:
    root, digest = stored
    size = next((root / "blobs").rglob(digest.hex)).stat().st_size
    with serving("-s", root, "--workers", "2", log=tmp_path / "log") as server:
        with slow_download(server, digest) as pieces, Pulling(server, digest) as pulling:
            first = next(pieces)
            for reloads in (1, 2):
                pulling.go_on()
                before = set(server.workers)
                server.process.send_signal(signal.SIGHUP)
                wait_until(partial(has_reloaded, server, reloads), "no reload")
                pulling.go_on()
                wait_until(partial(has_retired_one, server, before), "no old worker retires")
            pulling.go_on()
            assert hashlib.sha256(body_of(pieces, first, size, 0)).hexdigest() == digest.hex
        wait_until(lambda: len(server.workers) == 2, "old workers stay", 10)
        counted = value(scrape(server), "registry_requests_total", method="GET", route="manifests", status="200")
        assert counted == sum(pulling.counts)
    assert "Traceback" not in server.log.read_text()


def has_reloaded(server: Server, times: int) -> bool:
    return value(scrape(server), "registry_reloads_total") == times


def has_retired_one(server: Server, workers: set[int]) -> bool:
    return not workers <= set(server.workers)


def test_a_reload_brings_users_limits_and_the_log(stored: tuple[Path, Digest], tmp_path: Path) -> None:
    config, users = tmp_path / "c.yaml", tmp_path / "users"
    users.write_bytes(b"op:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))
    with configured(config, "registry: {}\n"), serving("-s", stored[0], log=tmp_path / "log") as server:
        assert httpx.get(f"{server.url}/v2/app/tags/list").status_code == 200
        assert httpx.post(f"{server.url}/v2/app/blobs/uploads/").status_code == 403
        config.write_text(
            "logFormat: json\n"
            f"registry: {{htpasswd: {users}, pull: authenticated, accessLog: true, workers: 3, maxUploads: 1,"
            " bundlePath: /none}\n"
        )
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: httpx.get(f"{server.url}/v2/app/tags/list").status_code == 401, "anybody may pull", 10)
        wait_until(lambda: len(server.workers) == 3, "there are not three workers", 10)
        with httpx.Client(base_url=server.url, auth=("op", "secret"), headers={"X-Request-Id": "seen-7"}) as client:
            assert client.get("/v2/app/tags/list").status_code == 200
            assert client.post("/v2/app/blobs/uploads/").status_code == 202
            assert client.post("/v2/app/blobs/uploads/").status_code == 429
        wait_until(lambda: '"id": "seen-7"' in server.log.read_text(), "no request is logged", 5)
        assert "does not change --bundle-path" in server.log.read_text()


def test_settings_that_will_not_do_change_nothing(stored: tuple[Path, Digest], tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    mistakes = {
        "registry: {pull: authenticated}\n": "--htpasswd",
        "registry: {threads: many}\n": "many",
        "registry: {wokers: 2}\n": "registry.wokers",
        "logLevel: loud\n": "logLevel",
        "registry: {tls: files, tlsCert: /none, tlsKey: /none}\n": "/none",
        "a: [\n": "not YAML",
    }
    with configured(config, ""), serving("-s", stored[0], "--workers", "1", log=tmp_path / "log") as server:
        before = server.workers
        for number, (text, said) in enumerate(mistakes.items(), 1):
            config.write_text(text)
            server.process.send_signal(signal.SIGHUP)
            wait_until(partial(has_refused, server, number), f"{text} is not refused")
            assert said in [line for line in server.log.read_text().splitlines() if "not reloaded" in line][-1]
        assert server.workers == before
        assert httpx.get(f"{server.url}/v2/app/manifests/1").status_code == 200


def has_refused(server: Server, times: int) -> bool:
    return value(scrape(server), "registry_reloads_failed_total") == times


def test_a_stop_ends_workers_that_retired(stored: tuple[Path, Digest], tmp_path: Path) -> None:
    """A slow download outlives the reload, not the drain of a stop: the test would time out."""
    root, digest = stored
    with serving("-s", root, "--workers", "1", log=tmp_path / "log") as server:
        with slow_download(server, digest) as pieces:
            assert next(pieces)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(server.workers) == 2, "the old worker does not wait for the download", 10)
        wait_until(lambda: len(server.workers) == 1, "the old worker waits for nobody", 10)
    assert not alive(server.process.pid)


def test_a_worker_that_dies_after_a_reload_is_replaced_while_an_old_one_ends_its_transfer(
    stored: tuple[Path, Digest], tmp_path: Path
) -> None:
    root, digest = stored
    with serving("-s", root, "--workers", "1", log=tmp_path / "log") as server, slow_download(server, digest) as pieces:
        assert next(pieces)
        (old,) = server.workers
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.workers) == 2, "no new worker comes", 10)
        (new,) = set(server.workers) - {old}
        wait_until(lambda: f"{new}" in server.log.read_text(), "it never starts", 5)
        os.kill(new, signal.SIGKILL)
        wait_until(lambda: new not in server.workers and len(server.workers) == 2, "nobody replaces it", 10)
        assert httpx.get(f"{server.url}/v2/app/manifests/1", timeout=10).status_code == 200


def test_another_program_takes_over_under_load(stored: tuple[Path, Digest], tmp_path: Path) -> None:
    """SIGUSR2 starts it on the same socket, SIGTERM ends the first."""
    root, digest = stored
    pid_file = tmp_path / "pid"
    arguments = ("-s", root, "--workers", "1", "--pid-file", pid_file)
    second = 0
    with serving(*arguments, log=tmp_path / "log") as server:
        try:
            with Pulling(server, digest) as pulling:
                pulling.go_on()
                os.kill(int(pid_file.read_text()), signal.SIGUSR2)
                successor = tmp_path / "pid.2"
                wait_until(successor.exists, "no second program starts", 20)
                second = int(successor.read_text())
                wait_until(lambda: server.log.read_text().count("Booting worker") == 2, "it has no worker", 20)
                pulling.go_on()
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(40) == 0
                pulling.go_on()
            wait_until(lambda: pid_file.exists() and int(pid_file.read_text()) == second, "it is not the one", 10)
        finally:
            if second:
                os.kill(second, signal.SIGTERM)
                wait_until(lambda: not alive(server.process.pid), "it does not stop", 40)
