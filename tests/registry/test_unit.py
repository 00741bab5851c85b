"""The systemd unit: printed for the options at hand, read back by systemd's own rules."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry.config import RegistrySettings
from registry.unit import unit
from tests.conftest import k0rdentd

SHIPPED = Path(__file__).parents[2] / "config" / "k0rdentd-registry.service"
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


def values(text: str, key: str) -> list[list[str]]:
    """The words of each line `key=`, as systemd takes them."""
    lines = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
    return [[_unquoted(quoted or plain) for quoted, plain in _WORD.findall(line)] for line in lines]


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word).replace("%%", "%").replace("$$", "$")


def test_the_shipped_unit_is_the_printed_one() -> None:
    assert SHIPPED.read_text() == unit(RegistrySettings(), ["/usr/bin/k0rdentd"], ["registry"])


def test_a_unit_is_printed_for_the_options_and_starts_nothing(tmp_path: Path) -> None:
    strange = tmp_path / 'a "b" $HOME %n \\ é;'
    environment = {**os.environ, "K0RDENTD_REGISTRY_HTPASSWD": "users", "K0RDENTD_CONFIG_FILE": str(tmp_path / "c")}
    (tmp_path / "c").write_text("registry: {threads: 5}\n")
    options = ("-s", strange, "-s", "relative", "-p", "443", "--no-access-log", "-d", "--tls-san", "r.example.com")
    done = k0rdentd("--debug", "registry", *options, "--print-unit", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    (words,) = values(done.stdout, "ExecStart")
    here = Path.cwd()
    assert words[: words.index("registry")] == [
        *(sys.executable, "-m", "installer.command"),
        f"--config-file={tmp_path / 'c'}",
        "--debug",
    ]
    assert set(words[words.index("registry") + 1 :]) == {
        f"--storage={strange}",
        f"--storage={here / 'relative'}",
        "--port=443",
        f"--htpasswd={here / 'users'}",
        "--no-access-log",
        "--tls-san=r.example.com",
        "--no-verify",  # by the environment of all tests
    }
    assert [[str(strange)], [str(here / "relative")]] == values(done.stdout, "ReadWritePaths")
    assert "CAP_NET_BIND_SERVICE" in values(done.stdout, "CapabilityBoundingSet")[0]
    assert not strange.exists()


@pytest.mark.parametrize("source", ["flag", "environment"])
def test_the_key_is_named_absolutely_unless_it_is_a_url(tmp_path: Path, source: str) -> None:
    for key, named in (("var/k.pub", Path.cwd() / "var/k.pub"), ("https://x/k.pub", "https://x/k.pub")):
        options = ("--cosign-key", key) if source == "flag" else ()
        environment = {**os.environ} if options else {**os.environ, "K0RDENT_COSIGN_KEY": key}
        done = k0rdentd("registry", "-s", tmp_path, *options, "--print-unit", env=environment)
        assert [word for word in values(done.stdout, "ExecStart")[0] if "osign" in word] == [f"--cosign-key={named}"]


def test_the_printed_command_line_starts_the_same_registry(tmp_path: Path) -> None:
    """Nothing but the way it is written changes: asked for its unit, it prints the same."""
    first = k0rdentd("registry", "-s", tmp_path / "x y", "--push", "anonymous", "--print-unit").stdout
    (words,) = values(first, "ExecStart")
    again = subprocess.run([*words, "--print-unit"], capture_output=True, text=True, check=True).stdout
    assert again == first


def test_a_storage_of_somebody_else_is_served_as_that_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("to give a directory away takes root")
    os.chown(tmp_path, 1, 1)
    text = unit(RegistrySettings(storage=(tmp_path,)), ["/usr/bin/k0rdentd"], ["registry"])
    assert values(text, "User") == [["daemon"]]
    assert values(text, "AmbientCapabilities") == [["CAP_DAC_READ_SEARCH"]]


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    printed = k0rdentd("registry", "-s", tmp_path / "a b", "--print-unit").stdout
    file = tmp_path / "k0rdentd-registry.service"
    for text in (printed, SHIPPED.read_text().replace("/usr/bin/k0rdentd", sys.executable)):
        file.write_text(text)
        command = ("systemd-analyze", "verify", "--man=no", str(file))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert [line for line in done.stderr.splitlines() if file.name in line] == []
        assert done.returncode == 0, done.stderr


def test_systemd_calls_it_well_confined(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ("systemd-analyze", "security", "--offline=yes", "--threshold=35", str(SHIPPED))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
