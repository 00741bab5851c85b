"""The first run unpacks the runtime once; one that cannot says why, and leaves nothing behind."""

import signal
import subprocess
import time

import pytest

from tests.executable.conftest import Built
from tests.executable.roots import BINARY, RUNTIMES, Root

pytestmark = pytest.mark.slow

_PROC = 'mount -t proc proc "$0/proc"'


def test_one_runtime_serves_both_flavors_and_every_user(built: Built, root: Root) -> None:
    root.put(built.online)
    root.put(built.airgap, "/usr/local/bin/k0rdentd-airgap")
    assert root.run(BINARY, "show-flavor").stdout == "online\n"
    assert root.run("/usr/local/bin/k0rdentd-airgap", "show-flavor").stdout == "airgap\n"
    assert root.run(BINARY, "version", user="1000:1000").returncode == 0
    assert len(root.runtimes) == 1
    assert not list(root.inside("/home/user").iterdir())


def test_a_user_has_a_runtime_of_his_own_where_root_made_none(built: Built, root: Root) -> None:
    root.put(built.online)
    home = {"HOME": "/home/user"}
    done = root.run(BINARY, "version", user="1000:1000", environment=home)
    assert done.returncode == 0, done.stderr
    assert len(list(root.inside("/home/user/.cache/k0rdentd").iterdir())) == 1
    assert root.run(BINARY, "version", user="1000:1000", environment={"HOME": "/nowhere"}).returncode == 0
    assert len(list(root.inside("/var/tmp/k0rdentd-1000").iterdir())) == 1
    assert root.runtimes == []


def test_first_runs_at_the_same_time_share_one_runtime(built: Built, root: Root) -> None:
    root.put(built.online)
    started = [subprocess.Popen(root.command(BINARY, "version"), stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate(timeout=60)[0].startswith(b"k0rdentd ") for process in started] == [True] * 4
    assert len(root.runtimes) == 1


def unpacking(root: Root) -> subprocess.Popen[bytes]:
    """A first run that has begun to write."""
    process = subprocess.Popen(root.command(BINARY, "version"))
    deadline = time.monotonic() + 30
    while not any(name.endswith(".partial") for name in root.runtimes):
        assert time.monotonic() < deadline
    return process


def test_what_a_killed_first_run_left_is_gone_after_the_next(built: Built, root: Root) -> None:
    root.put(built.online)
    process = unpacking(root)
    process.kill()
    process.wait()
    assert [name.endswith(".partial") for name in root.runtimes] == [True]
    assert root.run(BINARY, "version").returncode == 0
    assert [name.endswith(".partial") for name in root.runtimes] == [False]


def test_an_interrupted_first_run_leaves_nothing(built: Built, root: Root) -> None:
    root.put(built.online)
    process = unpacking(root)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    assert not root.inside("/var/lib/k0rdentd").exists()


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("-t tmpfs -o size=20m tmpfs", "no space"),
        ("-t tmpfs -o noexec tmpfs", "noexec"),
        ("-t tmpfs -o ro tmpfs", "Read-only file system"),
    ],
)
def test_a_place_that_will_not_do_is_told_and_left_as_it_was(built: Built, root: Root, mount: str, said: str) -> None:
    root.put(built.online)
    root.inside("/place").mkdir()
    before = f'{_PROC}; mount {mount} "$0/place"'
    done = root.run(BINARY, "version", before=before, environment={"K0RDENTD_RUNTIME_DIR": "/place/runtime"})
    assert done.returncode == 1
    assert done.stderr.startswith("k0rdentd: cannot unpack its runtime (")
    assert "/place/runtime: " in done.stderr
    assert said in done.stderr
    assert "K0RDENTD_RUNTIME_DIR" in done.stderr
    assert root.runtimes == []


def test_a_read_only_folder_that_is_there_already_is_called_so(built: Built, root: Root) -> None:
    """As the one of the unit's sandbox is."""
    root.put(built.online)
    root.inside("/place").mkdir()
    before = f'{_PROC}; mount -t tmpfs -o ro tmpfs "$0/place"'
    done = root.run(BINARY, "version", before=before, environment={"K0RDENTD_RUNTIME_DIR": "/place"})
    assert "/place: Read-only file system" in done.stderr


def test_the_next_place_is_taken_where_the_first_will_not_do(built: Built, root: Root) -> None:
    root.put(built.online)
    root.inside("/opt").mkdir()
    before = f'{_PROC}; mount -t tmpfs -o noexec tmpfs "$0/var/lib"'
    assert root.run(BINARY, "version", before=before).returncode == 0
    assert len(list(root.inside("/opt/k0rdentd/runtime").iterdir())) == 1
    assert root.run(BINARY, "version", user="1000:1000", environment={"HOME": "/home/user"}).returncode == 0
    assert not list(root.inside("/home/user").iterdir())


def test_a_disk_that_fills_up_meanwhile_is_left_empty(built: Built, root: Root) -> None:
    """Many small files take more inodes than there are: the space looked enough."""
    root.put(built.online)
    root.inside("/place").mkdir()
    mounts = f'{_PROC}; mount -t tmpfs -o size=200m,nr_inodes=100 tmpfs "$0/place"'
    script = f"{BINARY} version; ls -A /place"
    environment = {"K0RDENTD_RUNTIME_DIR": "/place/a/b"}
    (root.path / "bin/ls").symlink_to("busybox")
    done = root.run("/bin/sh", "-c", script, before=mounts, environment=environment)
    assert "No space left on device" in done.stderr
    assert done.stdout == ""


def test_a_folder_that_others_may_write_in_is_not_trusted(built: Built, root: Root) -> None:
    root.put(built.online)
    root.inside("/shared").mkdir()
    root.inside("/shared").chmod(0o777)
    done = root.run(BINARY, "version", environment={"K0RDENTD_RUNTIME_DIR": "/shared/runtime"})
    assert "others may write in /shared" in done.stderr
    assert not list(root.inside("/shared").iterdir())


def test_without_proc_it_says_so(built: Built, root: Root) -> None:
    root.put(built.online)
    done = root.run(BINARY, "version", before="true")
    assert done.stderr == "k0rdentd: /proc is missing: mount it (mount -t proc proc /proc)\n"


@pytest.mark.parametrize("size", [100_000, 2_000_000, -1])
def test_half_a_download_is_told_as_such(built: Built, root: Root, size: int) -> None:
    content = built.online.read_bytes()[:size]
    cut = root.inside(BINARY)
    cut.write_bytes(content if size > 0 else content + b"more")
    cut.chmod(0o755)
    done = root.run(BINARY, "version")
    if size == 100_000:  # not even a whole launcher: the kernel refuses or kills it
        assert done.returncode != 0
    else:
        assert "is not complete" in done.stderr
    assert root.runtimes == []


def test_a_changed_runtime_is_refused(built: Built, root: Root) -> None:
    content = bytearray(built.online.read_bytes())
    content[len(content) // 2] ^= 1
    root.inside(BINARY).write_bytes(content)
    root.inside(BINARY).chmod(0o755)
    done = root.run(BINARY, "version")
    assert done.returncode == 1
    assert "its archive is damaged" in done.stderr
    assert not root.inside(RUNTIMES).exists()
