"""The command line as a user meets it: help, exit codes, settings and their order, one sentence an error."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.layout import oci_archive
from tests.conftest import COMMAND, free_port, k0rdentd, serving
from tests.faults.processes import wait_until
from tests.images import small_image, write_tar


@pytest.fixture
def bundle_file(tmp_path: Path) -> Path:
    return write_tar(tmp_path / "b.tar", {"app_1.tar": oci_archive(small_image())})


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    shown = k0rdentd(*arguments)
    text = shown.stdout + shown.stderr
    assert all(name in text for name in ("bundle", "load", "registry", "store", "version"))


@pytest.mark.parametrize("columns", ["40", "80"])
@pytest.mark.parametrize("group", [(), ("store",), ("bundle",), ("config",), ("upgrade",), ("bench",)], ids=str)
def test_help_explains_commands_in_whole_sentences(columns: str, group: tuple[str, ...]) -> None:
    shown = k0rdentd(*group, "--help", env={**os.environ, "COLUMNS": columns}).stdout
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stor", "ls"), "Did you mean 'store' or 'doctor'?"),
        (("laod", "b.tar"), "Did you mean 'load'?"),
        (("store", "sruc"), "Did you mean 'scrub'?"),
        (("bundle", "verfy"), "Did you mean 'verify'?"),
        (("qqqq",), "No such command 'qqqq'."),
    ],
)
def test_a_mistyped_command_is_told_with_what_is_like_it(words: tuple[str, ...], said: str) -> None:
    done = k0rdentd(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "load",
        "registry",
        "bundle",
        "bundle inspect",
        "bundle version",
        "store",
        "store ls",
        "upgrade",
        "upgrade k0s",
        "expose-ui",
        "version",
    ],
)
def test_every_command_has_help(command: str) -> None:
    assert k0rdentd(*command.split(), "--help").returncode == 0


def test_the_version_is_told_in_three_ways() -> None:
    short = k0rdentd("version", "--short").stdout.strip()
    assert k0rdentd("version").stdout.startswith(f"k0rdentd {short} ")
    assert json.loads(k0rdentd("version", "--json").stdout)["version"] == short


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["load"],
        ["load", "b", "--jobs", "0"],
        ["registry", "-p", "70000"],
        ["--log-level", "loud", "version"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert k0rdentd(*arguments).returncode == 2


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a failure."""
    assert done.stderr.startswith("k0rdentd: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_missing_bundle_is_told_before_anything_is_started(tmp_path: Path) -> None:
    done = k0rdentd("registry", "-s", tmp_path / "s", "-b", tmp_path / "none.tar.gz", "-p", str(free_port()))
    assert done.returncode == 2
    assert "none.tar.gz" in told(done)
    assert not (tmp_path / "s").exists()


def test_an_empty_storage_without_a_bundle_is_told(tmp_path: Path) -> None:
    done = k0rdentd("registry", "-s", tmp_path / "s", "-H", "127.0.0.1", "-p", str(free_port()))
    assert done.returncode == 2
    assert "no store at" in told(done)
    assert not (tmp_path / "s").exists()


def test_a_port_in_use_is_told_before_anything_is_started(tmp_path: Path, bundle_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = k0rdentd("registry", "-s", tmp_path / "s", "-b", bundle_file, "-H", "127.0.0.1", "-p", port)
    assert done.returncode == 4
    assert port in told(done)
    assert not (tmp_path / "s").exists()


def test_a_storage_that_cannot_be_written_is_told(bundle_file: Path) -> None:
    done = k0rdentd("load", bundle_file, "-s", "/proc/nowhere")
    assert done.returncode == 4
    assert "/proc/nowhere" in told(done)


def test_a_traceback_is_shown_only_with_debug(tmp_path: Path) -> None:
    assert "Traceback" not in k0rdentd("bundle", "version", tmp_path / "none").stderr
    assert "Traceback" in k0rdentd("--debug", "bundle", "version", tmp_path / "none").stderr


@pytest.mark.parametrize("module", ["click._compat", "registry.storage.errors"])
def test_ctrl_c_while_a_command_starts_shows_no_traceback(tmp_path: Path, module: str) -> None:
    command = (sys.executable, "-X", "importtime", "-m", "installer.command", "load", "-", "-s", tmp_path / "s")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.split("|")[-1].strip() == module for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = "".join(line for line in process.stderr if not line.startswith("import time:"))
    assert process.returncode in (-signal.SIGINT, 130)
    assert said.strip() in ("", "k0rdentd: interrupted; run it again to go on")


def test_a_clock_that_python_cannot_read_is_told_in_a_sentence() -> None:
    refusing = "import time\ndef refuse(): raise OverflowError('timestamp too large')\ntime.time = refuse\n"
    code = f"{refusing}import sys\nsys.argv = ['k0rdentd', 'store', 'ls']\nfrom installer.command import main\nmain()"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert (done.returncode, "clock is past the year 2262" in told(done)) == (4, True)


def test_flags_beat_environment_beats_the_file(tmp_path: Path, bundle_file: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"load:\n  storage: {tmp_path / 'file'}\n")
    environment = {**os.environ, "K0RDENTD_CONFIG_FILE": str(config)}
    k0rdentd("load", bundle_file, env=environment)
    assert (tmp_path / "file").is_dir()
    environment["K0RDENTD_REGISTRY_STORAGE"] = f"{tmp_path / 'one'}:{tmp_path / 'two'}"
    k0rdentd("load", bundle_file, env=environment)
    assert (tmp_path / "one").is_dir()
    assert (tmp_path / "two").is_dir()
    k0rdentd("load", bundle_file, "-s", tmp_path / "flag", env=environment)
    assert (tmp_path / "flag").is_dir()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load:\n  storge: /x\n", "load.storge"),
        ("laod: {}\n", "laod"),
        ("load: 5\n", "load must be"),
        ("- a\n", "sections"),
        ("a: [\n", "not YAML"),
        ("\x00", "not YAML"),
    ],
)
def test_a_mistake_in_the_file_is_told_by_name(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    done = k0rdentd("-c", config, "load", "x")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert str(config) in done.stderr


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    done = k0rdentd("-c", tmp_path / "none.yaml", "store", "--help")
    assert done.returncode == 2
    assert "none.yaml" in told(done)


def test_the_version_is_told_whatever_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("nonsense: [\n")
    assert k0rdentd("-c", tmp_path / "c.yaml", "version").returncode == 0
    assert k0rdentd("-c", tmp_path / "c.yaml", "show-flavor").stdout == "online\n"


def test_the_shipped_configuration_is_valid() -> None:
    shipped = Path(__file__).parent.parent / "config" / "k0rdentd.yaml"
    for command in ("registry", "load"):
        assert k0rdentd("-c", shipped, command, "--help").returncode == 0


def test_the_registry_needs_the_bundle_only_once(tmp_path: Path, bundle_file: Path) -> None:
    with serving("-s", tmp_path / "s", "-b", bundle_file, log=tmp_path / "log1", wait_for="/readyz"):
        pass
    bundle_file.unlink()
    with serving("-s", tmp_path / "s", log=tmp_path / "log2", wait_for="/v2/app/manifests/1"):
        pass


def test_a_bundle_that_fails_leaves_the_registry_serving_and_not_ready(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with serving("-s", tmp_path / "s", "-b", tmp_path / "bad.tar", log=tmp_path / "log") as server:
        import httpx

        assert httpx.get(f"{server.url}/v2/").status_code == 200
        answer = httpx.get(f"{server.url}/readyz")
        assert (answer.status_code, "bad.tar" in answer.text) == (503, True)
        wait_until(lambda: "the log says why" in httpx.get(f"{server.url}/readyz").text, "nobody is told where to look")


def test_background_detaches_warns_and_serves(tmp_path: Path, bundle_file: Path) -> None:
    import httpx

    port = free_port()
    command: list[str | Path] = [
        *COMMAND,
        "registry",
        "-d",
        "-s",
        tmp_path / "s",
        "-b",
        bundle_file,
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert "systemd" in done.stderr
    found = _listening(port)
    assert httpx.get(f"http://127.0.0.1:{port}/v2/").status_code == 200
    os.kill(found, 15)


def _listening(port: int) -> int:
    """The process id of the arbiter of a background registry, when it listens."""
    import time

    mark = f"\0-p\0{port}".encode()
    for _ in range(500):
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "cmdline").read_bytes() and (entry / "stat").read_text().split()[3] == "1":
                    with socket.create_connection(("127.0.0.1", port)):
                        return int(entry.name)
            except OSError:
                continue
        time.sleep(0.02)
    pytest.fail("no registry in the background")


@pytest.mark.parametrize(
    ("text", "command", "said"),
    [
        ("registry: {port: 5578, storage: 5}\n", "registry", "registry.storage"),
        ("registry: {htpasswd: [a]}\n", "registry", "registry.htpasswd"),
        ("registry: {storage: [[a]]}\n", "registry", "registry.storage"),
        ("registry: {tlsSan: {a: b}}\n", "registry", "registry.tlsSan"),
        ("registry: {push: maybe}\n", "registry", "registry.push"),
        ("registry: {port: many}\n", "registry", "registry.port"),
        ("load: {jobz: 3}\n", "registry", "load.jobz"),
        ("load: {jobs: many}\n", "registry", "load.jobs"),
        (
            "registry:\n  port: 1\n  host: x\n  port: 2\n",
            "registry",
            "said more than once (lines 2, 4)",
        ),
        ("registry:\n  idleTimeout: 99999999999999999999\n", "registry", "registry.idleTimeout"),
    ],
)
def test_a_value_that_cannot_be_is_told_by_file_and_key(tmp_path: Path, text: str, command: str, said: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    done = k0rdentd("-c", config, command, "-s", tmp_path / "none")
    assert done.returncode == 2
    assert said in done.stderr
    assert str(config) in done.stderr
    assert "internal error" not in done.stderr


def test_keys_that_are_null_or_written_as_other_scalars_are_taken(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"registry: {{port: '5578', push: off, tls: off, storage: {tmp_path}, htpasswd: null, accessLog: yes}}\n"
    )
    done = k0rdentd("-c", config, "registry", "--print-unit")
    assert done.returncode == 0, done.stderr


def test_help_names_the_environment_variables() -> None:
    assert "K0RDENTD_REGISTRY_PORT" in k0rdentd("registry", "--help").stdout
    assert "K0RDENT_COSIGN_KEY" in k0rdentd("load", "--help").stdout
    assert "K0RDENTD_REGISTRY_STORAGE" in k0rdentd("store", "gc", "--help").stdout
    assert "K0RDENTD_LOG_LEVEL" in k0rdentd("--help").stdout
