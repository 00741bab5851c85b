"""kill -9 of a load of a .tar.gz, at any moment: the next one goes on from a checkpoint, and ends like one in one go.

K0RDENTD_KILL_ROUNDS and K0RDENTD_KILL_SEED make it longer, and other.
"""

import base64
import os
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import k0rdentd, listing
from tests.faults.contents import assert_same_store
from tests.faults.processes import halt_when, kill_group, kill_session, start_load
from tests.signing import key_pair

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("K0RDENTD_KILL_ROUNDS", "1"))
SEED = int(os.environ.get("K0RDENTD_KILL_SEED", "0"))
KILLS = 3
KNOWN = "of them known from an earlier load"


@dataclass(frozen=True)
class Signed:
    """A signed bundle; a store that loaded it in one go, and how long that took."""

    path: Path
    key: Path
    whole: Path
    seconds: float

    def options(self, *, verify: bool) -> tuple[str | Path, ...]:
        return ("--verify", "--cosign-key", self.key) if verify else ("--no-verify",)


@pytest.fixture(scope="module")
def signed(large_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    folder = tmp_path_factory.mktemp("resumed")
    path, pair = folder / large_bundle.name, key_pair(folder)
    path.hardlink_to(large_bundle)
    path.with_name(path.name + ".sig").write_bytes(base64.b64encode(pair.sign(path)))
    started = time.monotonic()
    assert k0rdentd("load", path, "-s", folder / "whole").returncode == 0
    return Signed(path, pair.public, folder / "whole", time.monotonic() - started)


@pytest.mark.parametrize("verify", [True, False], ids=["verified", "unverified"])
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_load_that_is_killed_again_and_again_ends_like_a_load_in_one_go(
    root: Path, signed: Signed, round_: int, verify: bool
) -> None:
    rng = random.Random(f"{SEED} {round_} {verify}")
    options = signed.options(verify=verify)
    for _ in range(rng.randint(1, KILLS)):
        killed = start_load(signed.path, root, *options)
        try:
            killed.wait(rng.uniform(0.2, 1.1) * signed.seconds)
        except subprocess.TimeoutExpired:
            kill_group(killed)
        finally:
            kill_session(killed)
        if verify and (root / "VERSION").exists() and killed.returncode != 0:
            assert listing(root).items() <= listing(signed.whole).items()
    done = k0rdentd("load", signed.path, "-s", root, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert_same_store(root, signed.whole)
    assert KNOWN in k0rdentd("load", signed.path, "-s", root, *options).stdout


@pytest.mark.parametrize("verify", [True, False], ids=["verified", "unverified"])
def test_what_a_killed_load_had_done_is_not_read_again(root: Path, signed: Signed, verify: bool) -> None:
    options = signed.options(verify=verify)
    members = len(listing(signed.whole))
    word = b"] read " if verify else b"] loaded "
    killed = start_load(signed.path, root, *options)
    try:
        halt_when(killed, lambda: root.with_suffix(".log").read_bytes().count(word) > 0.7 * members)
        kill_group(killed)
    finally:
        kill_session(killed)
    done = k0rdentd("load", signed.path, "-s", root, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert KNOWN in done.stdout
    assert_same_store(root, signed.whole)
