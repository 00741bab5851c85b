"""A disk that is too small, or becomes full: told clearly, nothing lost, and pulls go on."""

import gzip
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.archive import files
from bench.layout import image, index, layer, measure, oci_archive
from registry.storage.roots import open_root
from tests.conftest import k0rdentd, listing, serving
from tests.e2e.users import write_htpasswd
from tests.faults.bundles import Made, make
from tests.faults.contents import assert_nothing_under_way
from tests.faults.hostile import GOOD, docker_archive_of, entry, packed
from tests.faults.processes import children, halt_when, kill_session, start_load, wait_until
from tests.faults.pulling import Asking, Puller
from tests.faults.volume import Volume
from tests.images import small_image, write_tar

# Long enough for the second page of LMDB's table of readers, which is a sparse file in memory.
MANY_READERS = 100
READ = """
import sys
from contextlib import ExitStack
from pathlib import Path
from registry.storage.roots import open_root
from registry.storage.store import Store
store = Store.open([Path(sys.argv[1])], create=False)
with ExitStack() as stack:
    for _ in range(int(sys.argv[2])):
        stack.enter_context(store.snapshot()).count("tags")
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("bundle"), 70_000_000)


@pytest.fixture
def seeded(volume: Volume, seed: Path) -> Volume:
    """A disk with a store that holds one image."""
    shutil.copytree(seed, volume.store)
    return volume


@contextmanager
def served(volume: Volume, folder: Path) -> Iterator[Puller]:
    """A registry over the disk's store, of which somebody asks all the time."""
    with (
        serving("-s", volume.store, "--workers", "2", log=folder / "log") as server,
        Asking(server) as asking,
        Puller(server) as puller,
    ):
        yield puller
    assert asking.rounds


def force(bundle: Path, volume: Volume) -> subprocess.CompletedProcess[str]:
    return k0rdentd("load", bundle, "-s", volume.store, "--force")


def assert_told_that_the_disk_is_full(done: subprocess.CompletedProcess[str], volume: Volume) -> None:
    assert done.returncode == 4
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("k0rdentd: no space left")
    assert str(volume.store) in lines[0]
    assert_nothing_under_way(volume.store)


def test_a_bundle_larger_than_the_disk_is_refused_before_anything_is_written(bundle: Made, seeded: Volume) -> None:
    before, held = seeded.free, listing(seeded.store)
    refused = k0rdentd("load", bundle.path, "-s", seeded.store)
    assert refused.returncode == 4
    assert re.search(r"the bundle needs 5\d\.\d MB more than is here", refused.stderr)
    assert f"the storage has {before / 1e6:.1f} MB free" in refused.stderr
    assert "--force" in refused.stderr
    assert (refused.stdout, len(refused.stderr.splitlines())) == ("", 1)
    assert listing(seeded.store) == held
    assert_nothing_under_way(seeded.store)
    assert before - seeded.free < 100_000


def test_what_a_store_holds_of_others_is_no_room_for_a_bundle(seeded: Volume, tmp_path: Path) -> None:
    """The next release of a bundle, onto a disk that the last one fills."""
    seeded.resize(10 << 20)
    old, new = (write_tar(tmp_path / f"{n}.tar", {f"a_{n}.tar": oci_archive(small_image(size=6 << 20))}) for n in "12")
    assert k0rdentd("load", old, "-s", seeded.store).returncode == 0
    refused = k0rdentd("load", new, "-s", seeded.store)
    assert refused.returncode == 4
    assert re.search(r"the bundle needs 6\.\d MB more than is here", refused.stderr)


def written(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "blobs").rglob("*") if path.is_file())


def test_what_a_killed_load_brought_is_room_for_its_rerun(volume: Volume, tmp_path: Path) -> None:
    tree = image([layer(files({f"{number}.bin": os.urandom(5_000_000)})) for number in range(6)])
    bundle = write_tar(tmp_path / "b.tar", {"large_1.tar": oci_archive(tree)})
    kill_when(bundle, volume.store, lambda: written(volume.store) > 15_000_000)  # and nothing has a name yet
    assert listing(volume.store) == {}
    done = k0rdentd("load", bundle, "-s", volume.store)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_killed_load_has_named_is_room_for_its_rerun(volume: Volume, tmp_path: Path) -> None:
    images = {f"a{number}_1.tar": oci_archive(small_image(size=2_000_000)) for number in range(15)}
    bundle = write_tar(tmp_path / "b.tar", images)
    log = volume.store.with_suffix(".log")
    kill_when(bundle, volume.store, lambda: log.read_text().count("] loaded ") >= 8)
    assert len(listing(volume.store)) >= 8
    for _ in range(2):
        done = k0rdentd("load", bundle, "-s", volume.store)
        assert (done.returncode, done.stderr) == (0, "")


def kill_when(bundle: Path, root: Path, condition: Callable[[], bool]) -> None:
    load = start_load(bundle, root)
    halt_when(load, condition)
    kill_session(load)


@pytest.mark.slow
def test_a_part_of_a_stream_is_tried_and_makes_no_room_for_the_rest(volume: Volume, tmp_path: Path) -> None:
    """How large a part of a stream is nobody knows before the end of it; that the whole does not fit, everybody."""
    images = {f"a{number}_1.tar": oci_archive(small_image(size=8_000_000)) for number in range(5)}
    plain = write_tar(tmp_path / "b.tar", images)
    bundle = tmp_path / "b.tar.gz"
    bundle.write_bytes(gzip.compress(plain.read_bytes(), 1))
    volume.resize(20 << 20)
    done = k0rdentd("load", bundle, "-s", volume.store, "--include", "a0:*")
    assert (done.returncode, list(listing(volume.store))) == (0, ["a0:1"]), done.stderr
    refused = k0rdentd("load", bundle, "-s", volume.store)
    assert (refused.returncode, "the bundle needs up to" in refused.stderr) == (4, True), refused.stderr


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
def test_a_platform_that_fits_is_loaded_where_all_of_them_would_not(volume: Volume, tmp_path: Path, form: str) -> None:
    both = index([small_image("amd", size=6_000_000), small_image("arm", size=30_000_000, arch="arm64")])
    arm = small_image("only", size=8_000_000, arch="arm64")
    bundle = write_tar(tmp_path / "b.tar", {"both_1.tar": oci_archive(both), "arm_1.tar": oci_archive(arm)})
    if form == "tar.gz":
        bundle = bundle.with_suffix(".tar.gz")
        bundle.write_bytes(gzip.compress(bundle.with_suffix("").read_bytes(), 1))
    for platform, code in (("linux/amd64", 0), ("linux/arm64", 4)):
        done = k0rdentd("load", bundle, "-s", volume.store, "--platform", platform)
        assert (done.returncode, set(listing(volume.store))) == (code, {"both:1"}), done.stderr
    assert ("more than is here" in done.stderr) == (form == "tar")


def test_a_disk_that_becomes_full_ends_the_load_and_no_pull(bundle: Made, seeded: Volume, tmp_path: Path) -> None:
    with served(seeded, tmp_path) as puller:
        for _ in range(2):
            assert_told_that_the_disk_is_full(force(bundle.path, seeded), seeded)
            assert puller.pull_all() == listing(seeded.store)
        seeded.fill()
        assert puller.pull_all() == listing(seeded.store)
        seeded.ballast.unlink()
        seeded.resize(100 << 20)
        assert force(bundle.path, seeded).returncode == 0
        assert set(puller.pull_all()) == {"seed:1", *bundle.images}
    assert_nothing_under_way(seeded.store)


def test_a_registry_and_new_workers_of_it_start_on_a_full_disk(seeded: Volume, tmp_path: Path) -> None:
    users = ("--htpasswd", write_htpasswd(tmp_path))
    with serving("-s", seeded.store, *users, log=tmp_path / "log"):
        pass  # now it has a CA, and a key for tokens
    seeded.fill()
    assert seeded.free == 0
    with serving("-s", seeded.store, *users, "--workers", "2", log=tmp_path / "log") as server:
        first = children(server.process.pid)
        for worker in first:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(children(server.process.pid) - first) == 2, "no new workers")
        with Puller(server) as puller:
            assert puller.pull_all() == listing(seeded.store)


def test_a_full_disk_takes_any_number_of_readers(seeded: Volume) -> None:
    seeded.fill()
    command = (sys.executable, "-c", READ, str(seeded.store), str(MANY_READERS))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def images_of_large_manifests(path: Path, count: int, size: int) -> Path:
    """Images whose manifests are large and whose blobs are small: they fill the index."""
    notes = [{"note": hashlib.sha256(b"%d" % number).hexdigest() * (size // 64)} for number in range(count)]
    trees = {f"large{number:02}_1.tar": small_image(annotations=note) for number, note in enumerate(notes)}
    return write_tar(path, {name: oci_archive(tree) for name, tree in trees.items()})


@pytest.mark.slow
def test_an_index_that_fills_the_disk_ends_the_load_and_no_pull(seeded: Volume, tmp_path: Path) -> None:
    bundle = images_of_large_manifests(tmp_path / "large.tar", 20, 400_000)
    seeded.fill(leaving=4_000_000)
    with served(seeded, tmp_path) as puller:
        for _ in range(2):
            done = force(bundle, seeded)
            assert_told_that_the_disk_is_full(done, seeded)
            assert "index" in done.stderr
            assert puller.pull_all() == listing(seeded.store)
        assert 1 <= len(listing(seeded.store)) < 21
        seeded.resize(100 << 20)
        assert force(bundle, seeded).returncode == 0
        assert len(puller.pull_all()) == 21


def test_a_full_disk_takes_no_new_store_and_says_so(volume: Volume, bundle: Made) -> None:
    volume.fill()
    done = force(bundle.path, volume)
    assert done.returncode == 4
    assert "no space left" in done.stderr
    assert "internal error" not in done.stderr
    volume.ballast.unlink()
    volume.resize(100 << 20)
    assert force(bundle.path, volume).returncode == 0


def test_a_full_disk_beside_one_with_room_stays_out_of_the_way(bundle: Made, volume: Volume, tmp_path: Path) -> None:
    """What the message of a full disk advises: another `--storage`."""
    open_root(volume.store, create=True)
    volume.fill()
    done = k0rdentd("load", bundle.path, "-s", tmp_path / "large", "-s", volume.store)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(listing(tmp_path / "large", volume.store)) == set(bundle.images)


def test_a_report_that_finds_no_room_is_told_apart(seeded: Volume, tmp_path: Path) -> None:
    bundle = write_tar(tmp_path / "b.tar", {"one_1.tar": oci_archive(small_image())})
    full = seeded.path / "reports"
    full.mkdir()
    store = tmp_path / "store"
    seeded.fill()
    done = k0rdentd("load", bundle, "-s", store, "--report", full / "report.json")
    assert "one:1" in listing(store)
    assert "1 loaded" in done.stdout
    assert done.returncode != 0
    assert "internal error" not in done.stderr
    assert str(full / "report.json") in done.stderr


def test_of_a_bundle_that_unfolds_to_more_than_the_disk_has_all_is_loaded_that_is_whole(
    seeded: Volume, tmp_path: Path
) -> None:
    zeros = [bytes(1 << 24)] * 4
    large = entry("large_1.tar", docker_archive_of(zeros, 4 << 24, measure(zeros)[0]))
    good = entry("good_1.tar", GOOD)
    bundle = tmp_path / "b.tar.gz"
    bundle.write_bytes(packed([*good, *large, bytes(1024)]))
    done = k0rdentd("load", bundle, "-s", seeded.store)
    assert_told_that_the_disk_is_full(done, seeded)
    assert {"seed:1", "good:1"} <= set(listing(seeded.store))
