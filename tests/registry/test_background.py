"""`--background`, and the file that says which process it is."""

import os
import signal
import subprocess
from pathlib import Path

import httpx

from tests.conftest import COMMAND, free_port, k0rdentd
from tests.faults.processes import wait_until


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_background_registry_keeps_its_log_and_names_its_process(tmp_path: Path) -> None:
    port, pid_file, log = free_port(), tmp_path / "pid", tmp_path / "log"
    arguments = (
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
        "-s",
        tmp_path / "s",
        "--push",
        "anonymous",
        "--pid-file",
        pid_file,
    )
    command: list[str | Path] = [*COMMAND, "registry", "-d", *arguments]
    with log.open("wb") as file:
        subprocess.run(command, stdout=file, stderr=file, timeout=20, check=True)
    wait_until(lambda: answers(port), "it never answers")
    process = int(pid_file.read_text())
    second = k0rdentd("registry", *arguments[:2], "-p", str(free_port()), *arguments[4:])
    assert (second.returncode, str(process) in second.stderr) == (2, True)
    os.kill(process, signal.SIGTERM)
    wait_until(lambda: not pid_file.exists(), "it does not stop")
    assert "systemd" in log.read_text()
    assert "Shutting down" in log.read_text()


def test_a_pid_file_that_cannot_be_written_is_told_before_anything_is_started(tmp_path: Path) -> None:
    options = ("-p", str(free_port()), "-s", tmp_path / "s", "--push", "anonymous")
    done = k0rdentd("registry", *options, "--pid-file", tmp_path / "none" / "pid")
    assert done.returncode == 2
    assert "none/pid" in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_pid_file_of_a_process_that_is_gone_is_replaced(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with subprocess.Popen(["true"]) as gone:
        pid_file.write_text(f"{gone.pid}\n")
    port = free_port()
    command: list[str | Path] = [*COMMAND, "registry", "-H", "127.0.0.1", "-p", str(port), "-s", tmp_path / "s"]
    process = subprocess.Popen([*command, "--push", "anonymous", "--pid-file", pid_file], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), "it never answers")
        assert int(pid_file.read_text()) == process.pid
    finally:
        process.terminate()
        process.wait(40)
