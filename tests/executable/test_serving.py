"""Load, serve, pull, reload, upgrade and stop, out of one file, where there is nothing else and no network."""

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.corpus import Contents
from tests.executable.conftest import Built
from tests.executable.roots import BINARY, RUNTIMES, Root, family, mapped, outside
from tests.faults.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.client]

STORE = "/var/lib/k0rdentd/registry"
SERVE = (BINARY, "registry", "-s", STORE, "--workers", "2", "--pid-file", "/tmp/pid")


@dataclass
class Site:
    """A root with the executable and a bundle."""

    root: Root
    contents: Contents

    def main_process(self) -> int:
        return int(self.root.inside("/tmp/pid").read_text())


@pytest.fixture(scope="module", params=["busybox", *(["debian"] if "K0RDENTD_TEST_ROOTS" in os.environ else [])])
def site(
    request: pytest.FixtureRequest,
    built: Built,
    bundle: tuple[Path, Contents],
    tmp_path_factory: pytest.TempPathFactory,
) -> Site:
    make = {"busybox": Root.of_busybox, "debian": Root.of_debian}[request.param]
    root = make(tmp_path_factory.mktemp("site") / "root")
    root.put(built.online)
    shutil.copy(bundle[0], root.inside("/tmp"))
    loaded = root.run(BINARY, "load", f"/tmp/{bundle[0].name}", "-s", STORE, "--jobs", "2", "--no-verify")
    assert loaded.returncode == 0, loaded.stderr
    return Site(root, bundle[1])


def wait_until_ready(site: Site, log: Path) -> None:
    wait_until(lambda: log.read_text().count("Booting worker") >= 2, "two workers", 30)
    wait_until(lambda: site.root.inside("/tmp/pid").exists(), "a pid file", 30)


def test_what_was_loaded_is_pulled_from_outside_over_tls(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with site.root.running(*SERVE, log=log) as process:
        wait_until_ready(site, log)
        certificates = tmp_path / "ca"
        certificates.mkdir()
        authority = next(site.root.inside(STORE).rglob("ca.crt"))
        shutil.copy(authority, certificates / "ca.crt")
        member = next(each for each in site.contents.members if each.digest)
        source = f"docker://localhost:5000/{member.repository}:{member.tag}"
        trust = ("--src-cert-dir", str(certificates))
        target = tmp_path / "pulled"
        outside(process.pid, "skopeo", "copy", "--all", "--preserve-digests", *trust, source, f"oci:{target}:x")
        index = json.loads((target / "index.json").read_text())
        assert index["manifests"][0]["digest"] == member.digest
        everyone = family(process.pid)
        assert len(everyone) == 3
        for pid in everyone:
            strangers = {path for path in mapped(pid) if RUNTIMES not in path and "(deleted)" not in path}
            assert all(STORE in path for path in strangers), strangers
    assert process.returncode == 0, log.read_text()


def test_a_reload_and_a_stop_are_heard(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with site.root.running(*SERVE, log=log) as process:
        wait_until_ready(site, log)
        before = set(family(process.pid)[1:])
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(now := set(family(process.pid)[1:])) == 2 and not now & before, "new workers", 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0


def test_an_upgrade_takes_over_from_the_running_registry(site: Site, built: Built, tmp_path: Path) -> None:
    """The file is replaced while the old daemon runs out of its runtime; SIGUSR2 starts the new one beside it."""
    log = tmp_path / "log"
    with site.root.running(*SERVE, log=log) as process:
        wait_until_ready(site, log)
        old = os.readlink(f"/proc/{process.pid}/exe")
        site.root.put(built.second)
        assert outside(process.pid, "curl", "-fsS", "http://localhost:5000/healthz") is not None
        process.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(family(process.pid)) == 6, "a program beside the old one", 60)
        successor = next(pid for pid in family(process.pid) if pid != process.pid and len(family(pid)) == 3)
        new = os.readlink(f"/proc/{successor}/exe")
        assert old != new
        assert len(site.root.runtimes) == 2
        words = Path(f"/proc/{successor}/cmdline").read_bytes().split(b"\0")
        assert b"-I" in words
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        outside(successor, "curl", "-fsS", "http://localhost:5000/healthz")
        os.kill(successor, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{successor}").exists(), "the end of the new program", 40)
    site.root.put(built.online)


def test_a_runtime_that_nobody_used_for_a_week_goes_unless_it_runs(site: Site, built: Built, tmp_path: Path) -> None:
    week = time.time() - 8 * 24 * 3600
    stale = site.root.inside(RUNTIMES) / ("0" * 32)
    (stale / "bin").mkdir(parents=True)
    os.utime(stale, (week, week))
    with site.root.running(*SERVE, log=tmp_path / "log") as process:
        wait_until_ready(site, tmp_path / "log")
        running = Path(os.readlink(f"/proc/{process.pid}/exe")).parents[1].name
        for name in site.root.runtimes:
            os.utime(site.root.inside(RUNTIMES) / name, (week, week))
        other = next((name for name in site.root.runtimes if name not in (running, stale.name)), None)
        if other is not None:
            shutil.rmtree(site.root.inside(RUNTIMES) / other)
        site.root.put(built.second, "/usr/local/bin/k0rdentd-second")
        assert site.root.run("/usr/local/bin/k0rdentd-second", "version").returncode == 0
        assert running in site.root.runtimes
        assert stale.name not in site.root.runtimes
        assert len(site.root.runtimes) == 2


def test_another_user_loads_into_a_store_of_his_own_with_roots_runtime(
    site: Site, bundle: tuple[Path, Contents]
) -> None:
    home = site.root.inside("/home/user")
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, 1000, 1000)
    arguments = (f"/tmp/{bundle[0].name}", "-s", "/home/user/störe", "--jobs", "2", "--no-verify")
    done = site.root.run(BINARY, "load", *arguments, user="1000:1000", environment={"HOME": "/home/user"})
    assert done.returncode == 0, done.stderr
    assert [each.name for each in home.iterdir()] == ["störe"]


def test_a_unit_names_the_executable_and_unpacks_before_the_sandbox(site: Site) -> None:
    shown = site.root.run(BINARY, "registry", "-s", STORE, "--print-unit").stdout
    assert f"ExecStartPre=+{BINARY} version\nExecStart={BINARY} registry " in shown
    assert RUNTIMES not in shown
