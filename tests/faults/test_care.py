"""gc and scrub killed at any moment, beside pushes, pulls and loads, on a full disk; damage that a load heals."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from bench.layout import CONFIG, LAYER, MANIFEST, oci_archive
from registry.oci.digest import Digest
from registry.storage import inventory
from registry.storage.store import Store
from tests.conftest import Server, k0rdentd, listing, serving
from tests.faults.bundles import make
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_nothing_under_way, blob_files
from tests.faults.processes import halt_when, kill_session, load_under_way, start_load
from tests.faults.pulling import Puller
from tests.faults.volume import Volume
from tests.images import small_image, write_tar

KILLS = int(os.environ.get("CARE_KILLS", "15"))
CLIENTS = 3
MIB = 1024 * 1024

# One after the other, as fast as they go: there is no grace, which spares nothing that is not safe by itself.
CARING = """
import sys
from pathlib import Path
from registry.oci.errors import Failure
from registry.storage.gc import Collection, Policy
from registry.storage.scrub import scrub
from registry.storage.store import Store
store = Store.open([Path(sys.argv[2])], create=False)
print("ready", flush=True)
while True:
    work = Collection(store, Policy(0, 60, untagged=True)).removals() if sys.argv[1] == "gc" else scrub(store)
    bad = [each for each in work if sys.argv[1] == "scrub" and each.verdict.is_bad]
    assert not bad, bad
"""
HOLD_A_SNAPSHOT = """
import sys
from pathlib import Path
from registry.storage.store import Store
with Store.open([Path(sys.argv[1])], create=False).snapshot() as snapshot:
    print(snapshot.count("tags"), flush=True)
    sys.stdin.read()
"""


@contextmanager
def running(script: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has said it is ready; killed at the end, if it lives."""
    with begun(script, *arguments) as process:
        wait_until_ready(process)
        yield process


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline()


@contextmanager
def begun(script: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The same, before it is ready."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def sha256(content: bytes) -> str:
    return str(Digest.of(content))


@dataclass
class Client:
    """It pushes images of few layers under few tags, so that what one leaves to gc another needs anew."""

    server: Server
    number: int
    promised: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: int = 0

    def push_until(self, stop: threading.Event) -> None:
        chance = random.Random(self.number)
        shared = [random.Random(layer).randbytes(20_000) for layer in range(4)]
        with httpx.Client(base_url=self.server.url, timeout=30) as client:
            while not stop.is_set():
                self._push(client, chance, chance.sample(shared, 2))

    def _push(self, client: httpx.Client, chance: random.Random, layers: list[bytes]) -> None:
        repository, tag = f"care/r{self.number}", f"t{chance.randrange(3)}"
        config = json.dumps({"os": "linux", "n": chance.randrange(5)}).encode()
        for content in (config, *layers):
            url = f"/v2/{repository}/blobs/uploads/"
            known = client.head(f"/v2/{repository}/blobs/{sha256(content)}").status_code == 200
            if not known and client.post(url, params={"digest": sha256(content)}, content=content).status_code != 201:
                self.refused += 1
                return
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": sha256(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": sha256(each), "size": len(each)} for each in layers],
        }
        body = json.dumps(document).encode()
        url = f"/v2/{repository}/manifests/{tag}"
        answer = client.put(url, content=body, headers={"Content-Type": MANIFEST})
        if answer.status_code == 201:
            self.promised[repository, tag] = sha256(body)
        else:
            assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN", answer.text
            self.refused += 1


@pytest.mark.slow
def test_gc_and_scrub_killed_at_any_moment_lose_nothing_that_was_promised(tmp_path: Path, seeded_root: Path) -> None:
    chance, stop = random.Random(1), threading.Event()
    options = ("-s", seeded_root, "--push", "anonymous", "--workers", "2")
    with serving(*options, log=tmp_path / "log") as server:
        clients = [Client(server, number) for number in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool, Puller(server) as puller:
            pushes = [pool.submit(client.push_until, stop) for client in clients]
            try:
                for _ in range(KILLS):
                    with begun(CARING, "gc", seeded_root) as gc, begun(CARING, "scrub", seeded_root) as scrub:
                        wait_until_ready(gc)
                        wait_until_ready(scrub)
                        time.sleep(chance.uniform(0.02, 0.4))
                        for process in (gc, scrub):
                            assert process.poll() is None, process.communicate()
                    puller.pull("seed", "1")
            finally:
                stop.set()
            for push in pushes:
                push.result()
            finished = k0rdentd("store", "gc", "--untagged", "--grace", "0", "-s", seeded_root)
            assert (finished.returncode, finished.stderr) == (0, "")
            for client in clients:
                assert len(client.promised) == 3
                for (repository, tag), digest in client.promised.items():
                    assert puller.pull(repository, tag) == digest
    checked = k0rdentd("store", "fsck", "-s", seeded_root)
    assert (checked.returncode, checked.stdout) == (0, "0 faults, 0 repaired\n")
    assert k0rdentd("store", "scrub", "--restart", "-s", seeded_root).returncode == 0
    assert_blobs_are_what_they_are_called(seeded_root)
    assert set(blob_files(seeded_root)) == rows(seeded_root)
    assert "Traceback" not in (tmp_path / "log").read_text()


def rows(root: Path) -> set[str]:
    store = Store.open([root], create=False)
    with store.snapshot() as snapshot:
        found = {blob.digest.hex for blob, _ in inventory.blobs(snapshot)}
    store.close()
    return found


@contextmanager
def pulled_meanwhile(server: Server, *names: str) -> Iterator[None]:
    """Images that stay are pulled again and again."""
    stop, rounds = threading.Event(), 0

    def pull() -> None:
        nonlocal rounds
        with Puller(server) as puller:
            while not stop.wait(0.05):
                for name in names:
                    puller.pull(name, "1")
                rounds += 1

    with ThreadPoolExecutor(1) as pool:
        pulling = pool.submit(pull)
        try:
            yield
        finally:
            stop.set()
        pulling.result()
    assert rounds


@pytest.mark.slow
@pytest.mark.parametrize("pinned", [False, True], ids=["", "with no free page in the index"])
def test_a_full_disk_is_given_its_space_back(volume: Volume, tmp_path: Path, pinned: bool) -> None:
    images = {f"a{number}_1.tar": oci_archive(small_image(f"{number}", size=2 * MIB)) for number in range(12)}
    bundle = write_tar(tmp_path / "b.tar", images)
    assert k0rdentd("load", bundle, "-s", volume.store).returncode == 0
    with (
        serving("-s", volume.store, log=tmp_path / "log") as server,
        pulled_meanwhile(server, "a10", "a11"),
        Puller(server) as puller,
    ):
        with running(HOLD_A_SNAPSHOT, volume.store) as holding:
            volume.fill()
            assert volume.free == 0
            if not pinned:
                holding.kill()
                holding.wait()
            removed = k0rdentd("store", "rm", "a?:1", "-s", volume.store)
            assert (removed.returncode, removed.stderr) == (0, "")
            collected = k0rdentd("store", "gc", "--untagged", "--grace", "0", "-s", volume.store)
            assert (collected.returncode, collected.stderr) == (0, "")
        assert volume.free > 9 * 2 * MIB
        assert set(puller.pull_all()) == {"a10:1", "a11:1"}
        volume.ballast.unlink()
        assert k0rdentd("load", bundle, "-s", volume.store).returncode == 0
        assert len(puller.pull_all()) == 12


def test_a_disk_that_a_load_has_filled_is_given_its_space_back(volume: Volume, tmp_path: Path) -> None:
    bundle = make(tmp_path, 70_000_000)
    assert k0rdentd("load", bundle.path, "-s", volume.store, "--force").returncode == 4
    shown = listing(volume.store)
    volume.fill()
    assert k0rdentd("store", "gc", "--grace", "0", "-s", volume.store).returncode == 0
    assert listing(volume.store) == shown
    assert set(blob_files(volume.store)) == rows(volume.store)
    assert (volume.store / "index" / "reserve").stat().st_size == MIB, "held again, for the next time"


@pytest.mark.slow
def test_gc_beside_a_load_takes_nothing_from_it(root: Path, large_bundle: Path) -> None:
    with load_under_way(large_bundle, root) as load:
        halt_when(load, lambda: len(list((root / "blobs").rglob("*/*/*"))) > 5)
        collected = k0rdentd("store", "gc", "--untagged", "--grace", "0", "--upload-expiry", "0", "-s", root)
        assert collected.returncode == 0
        assert "a load is running" in collected.stderr
        os.killpg(load.pid, signal.SIGCONT)
        for _ in range(3):
            assert k0rdentd("store", "gc", "--untagged", "--grace", "0", "-s", root).returncode == 0
        assert load.wait(60) == 0, root.with_suffix(".log").read_text()
    assert k0rdentd("store", "fsck", "-s", root).returncode == 0
    assert k0rdentd("store", "scrub", "-s", root).returncode == 0


def test_what_a_killed_load_left_goes(seeded_root: Path, large_bundle: Path) -> None:
    before = set(blob_files(seeded_root))
    load = start_load(large_bundle, seeded_root)
    halt_when(load, lambda: len(blob_files(seeded_root)) > len(before) and any((seeded_root / "uploads").iterdir()))
    kill_session(load)
    shown = listing(seeded_root)
    assert k0rdentd("store", "gc", "-s", seeded_root).returncode == 0
    assert set(blob_files(seeded_root)) >= before, "without a name yet, and young"
    assert k0rdentd("store", "gc", "--grace", "0", "-s", seeded_root).returncode == 0
    assert set(blob_files(seeded_root)) == rows(seeded_root)
    assert_nothing_under_way(seeded_root)
    assert listing(seeded_root) == shown


@pytest.mark.parametrize("damage", ["flipped", "shortened", "removed"])
def test_a_damaged_blob_is_found_set_aside_and_healed_by_a_load(
    root: Path, bundle: tuple[Path, object], tmp_path: Path, damage: str
) -> None:
    with (
        serving("-s", root, "-b", bundle[0], log=tmp_path / "log", wait_for="/readyz") as server,
        Puller(server) as puller,
    ):
        whole = puller.pull_all()
        damaged = max((root / "blobs").rglob("*/*/*"), key=lambda path: path.stat().st_size)
        damage_file(damaged, damage)
        found = k0rdentd("store", "scrub", "--rate", "1GB", "--json", "-s", root)
        assert found.returncode == 1
        assert damaged.name in found.stdout
        assert "load their bundle again" in found.stderr
        assert [path.name for path in (root / "quarantine").glob("*")] == [f"sha256-{damaged.name}"] * (
            damage != "removed"
        )
        suffering = json.loads(found.stdout.splitlines()[0])["repositories"][0]
        answer = httpx.get(f"{server.url}/v2/{suffering}/blobs/sha256:{damaged.name}")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")
        loaded = k0rdentd("load", bundle[0], "-s", root)
        assert (loaded.returncode, loaded.stderr) == (0, "")
        assert puller.pull_all() == whole
    assert k0rdentd("store", "scrub", "-s", root).returncode == 0
    assert k0rdentd("store", "fsck", "-s", root).returncode == 0


def damage_file(path: Path, damage: str) -> None:
    """As a disk does it: the file stays the same one, with its times."""
    facts = path.stat()
    if damage == "removed":
        path.unlink()
        return
    if damage == "shortened":
        os.truncate(path, facts.st_size // 2)
    else:
        with path.open("r+b") as file:
            file.seek(facts.st_size // 2)
            byte = file.read(1)[0]
            file.seek(facts.st_size // 2)
            file.write(bytes([byte ^ 4]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
