"""What systemd is told, read from a real datagram socket; and the sockets that it hands down."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import COMMAND, Server, serving, wait_until_answering
from tests.faults.processes import kill_session


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self.heard: list[str] = []

    def hear(self, wanted: str, seconds: float = 20) -> str:
        """The next message that begins so."""
        deadline = time.monotonic() + seconds
        while True:
            self._receiver.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                message = self._receiver.recv(4096).decode()
            except TimeoutError:
                pytest.fail(f"no {wanted}, but {self.heard}")
            self.heard.append(message)
            if message.startswith(wanted):
                return message


@contextmanager
def systemd(address: str, shown: str) -> Iterator[Systemd]:
    """A service manager for the registries that are started inside of the block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, pytest.MonkeyPatch.context() as environment:
        receiver.bind(address)
        environment.setenv("NOTIFY_SOCKET", shown)
        environment.setenv("WATCHDOG_USEC", "60000000")
        yield Systemd(receiver)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_systemd_is_told_what_a_registry_does(tmp_path: Path, abstract: bool) -> None:
    path = str(tmp_path / "notify") if not abstract else f"k0rdentd-test-{os.getpid()}"
    address, shown = (f"\0{path}", f"@{path}") if abstract else (path, path)
    with systemd(address, shown) as manager:
        with serving("-s", tmp_path / "s", "--push", "anonymous", "--workers", "1", log=tmp_path / "log") as server:
            assert "STATUS=serving" in manager.hear("READY=1")
            assert not [each for each in manager.heard[:-1] if "READY=1" in each]  # gunicorn's own comes too early
            manager.hear("WATCHDOG=1")
            server.process.send_signal(signal.SIGHUP)
            _, _, moment = manager.hear("RELOADING=1").partition("\nMONOTONIC_USEC=")
            assert 0 <= time.monotonic() - int(moment) / 1e6 < 60
            manager.hear("READY=1")
        manager.hear("STOPPING=1")


def test_a_notify_socket_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
        with serving("-s", tmp_path / "s", "--push", "anonymous", log=tmp_path / "log") as server:
            assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_a_socket_that_systemd_opened_is_served(tmp_path: Path) -> None:
    """Connections that came before the registry did wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        early = socket.create_connection(("127.0.0.1", port), timeout=30)
        inherited = listener.fileno()
        arguments = ("registry", "-H", "127.0.0.1", "-p", str(port), "-s", str(tmp_path / "s"), "--push", "anonymous")
        script = f'exec 3<&{inherited} && LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", script, "bash", *COMMAND, *arguments],
                stderr=log,
                pass_fds=[inherited],
                start_new_session=True,
            )
    try:
        wait_until_answering(Server(process, port, tmp_path / "log"), "/healthz")
        with early:
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert early.recv(1000).startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        kill_session(process)
