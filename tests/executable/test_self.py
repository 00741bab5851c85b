"""The executable about itself: flavor, version, and whether it is as it was built."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from installer.packaging.build import build_executable, build_runtime
from tests.conftest import k0rdentd
from tests.executable.conftest import K0S_VERSION, Built
from tests.executable.roots import BINARY, RUNTIMES, Root
from tests.signing import key_pair

pytestmark = pytest.mark.slow


def test_flavor_version_and_commit_are_told(built: Built, root: Root) -> None:
    root.put(built.airgap)
    flavor = json.loads(root.run(BINARY, "show-flavor", "--json").stdout)
    assert (flavor["flavor"], flavor["k0sVersion"]) == ("airgap", K0S_VERSION)
    assert flavor["buildTime"].endswith("Z")
    version = json.loads(root.run(BINARY, "version", "--json").stdout)
    assert {**version, **flavor} == version
    assert K0S_VERSION in root.run(BINARY, "version").stdout


def test_two_builds_are_the_same_bytes(built: Built, tmp_path: Path) -> None:
    work = tmp_path / "elsewhere"
    work.mkdir()
    build_executable(build_runtime(work, built.cache, "amd64", level=1), work / "k0rdentd", None)
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (built.online, work / "k0rdentd"))
    assert first == second


def test_it_checks_itself_and_its_runtime(built: Built, root: Root) -> None:
    root.put(built.airgap)
    done = root.run(BINARY, "self", "check")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()][:4] == ["runtime", "k0s", "metadata", "launcher"]
    (folder,) = root.inside(RUNTIMES).iterdir()
    (folder / "lib/python3.11/added.pth").write_text("")
    assert "added.pth is not as it was unpacked" in root.run(BINARY, "self", "check").stderr
    (folder / "lib/python3.11/added.pth").unlink()
    with (folder / "bin/python3").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    assert "python3 is not as it was unpacked" in root.run(BINARY, "self", "check").stderr


def test_a_changed_k0s_is_found(built: Built, root: Root) -> None:
    content = bytearray(built.airgap.read_bytes())
    content[-300_000] ^= 1
    root.inside(BINARY).write_bytes(content)
    root.inside(BINARY).chmod(0o755)
    done = root.run(BINARY, "self", "check")
    assert done.returncode == 1
    assert "its k0s is not what was built" in done.stderr


def test_a_signature_proves_who_made_it(built: Built, root: Root, tmp_path: Path) -> None:
    root.put(built.online)
    keys, others = key_pair(tmp_path), key_pair(tmp_path, name="other")
    root.inside(f"{BINARY}.sig").write_bytes(keys.sign(built.online))
    for pair, name in ((keys, "/cosign.pub"), (others, "/other.pub")):
        shutil.copy(pair.public, root.inside(name))
    assert "signature: ok" in root.run(BINARY, "self", "check", "--cosign-key", "/cosign.pub").stdout
    wrong = root.run(BINARY, "self", "check", "--cosign-key", "/other.pub")
    assert wrong.returncode == 1
    assert "is no signature of" in wrong.stderr


def test_a_python_package_is_no_executable() -> None:
    done = k0rdentd("self", "check")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
