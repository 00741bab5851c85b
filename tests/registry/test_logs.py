"""Logs that cannot fill a disk, and whose reader cannot hold up the registry."""

import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.archive import Entry
from bench.layout import oci_archive
from registry.logs import Bounded, UnhurriedHandler
from registry.storage.store import Store
from tests.conftest import COMMAND, Server, free_port, k0rdentd, serving, wait_until_answering
from tests.faults.processes import kill_session, wait_until
from tests.images import publish, small_image, write_tar


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with one image."""
    store = Store.open([tmp_path / "store"])
    publish(store, small_image(), "app:1")
    store.close()
    return tmp_path / "store"


def warning(line: int) -> logging.LogRecord:
    return logging.LogRecord("x", logging.WARNING, "file.py", line, "%s is gone", ("it",), None)


def test_a_warning_that_comes_again_and_again_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    bounded = Bounded()
    assert sum(bounded.filter(warning(1)) for _ in range(500)) == 20
    assert bounded.filter(warning(2))
    now[0] += 11
    record = warning(1)
    assert bounded.filter(record)
    assert record.getMessage() == "it is gone (and 480 more like it before, which were left out)"


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, UnhurriedHandler]]:
    """The reading end of a pipe, and a handler that writes into it."""
    reader, writer = os.pipe()
    monkeypatch.setattr("registry.logs.STDERR", writer)
    handler = UnhurriedHandler()
    yield reader, handler
    handler.close()
    os.close(reader)
    os.close(writer)


def test_a_pipe_that_nobody_reads_is_not_waited_for_and_tells_later_what_is_lost(
    pipe: tuple[int, UnhurriedHandler],
) -> None:
    reader, handler = pipe
    for _ in range(10_000):
        handler.emit(warning(1))
    before = os.read(reader, 1 << 20)
    assert set(before.splitlines()) == {b"it is gone"}
    handler.emit(warning(1))
    lost = 10_000 - before.count(b"\n")
    assert os.read(reader, 1 << 20) == b"%d lines of this log were lost: nobody read it\nit is gone\n" % lost


def test_a_line_longer_than_a_pipe_takes_at_once_is_whole(pipe: tuple[int, UnhurriedHandler]) -> None:
    reader, handler = pipe
    handler.emit(logging.LogRecord("x", logging.ERROR, "f", 1, "x" * 20_000, (), None))
    assert os.read(reader, 1 << 20) == b"x" * 20_000 + b"\n"


def test_a_registry_whose_log_nobody_reads_serves_on(root: Path, tmp_path: Path) -> None:
    port = free_port()
    arguments = ("registry", "-H", "127.0.0.1", "-p", str(port), "-s", str(root), "--workers", "1", "--access-log")
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, start_new_session=True)
    try:
        server = Server(process, port, tmp_path / "none")
        wait_until_answering(server, "/healthz")
        with httpx.Client(base_url=server.url, headers={"User-Agent": "a" * 4000}) as client:
            for _ in range(60):
                assert client.get("/v2/app/manifests/1").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
        assert process.stderr is not None
        process.stderr.close()
    finally:
        kill_session(process)


def test_requests_are_logged_when_asked_for(root: Path, tmp_path: Path) -> None:
    with serving("-s", root, "--access-log", log=tmp_path / "log") as server:
        httpx.get(f"{server.url}/v2/app/manifests/1", headers={"X-Request-Id": "seen-1"})
        wait_until(lambda: "seen-1" in server.log.read_text(), "it is not logged")
    with serving("-s", root, "--no-access-log", log=tmp_path / "none") as server:
        httpx.get(f"{server.url}/v2/app/manifests/1", headers={"X-Request-Id": "seen-2"})
    assert "seen-2" not in server.log.read_text()


def test_a_client_by_ipv4_is_told_so_where_ipv6_is_listened_on_too(root: Path, tmp_path: Path) -> None:
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True).close()
    except OSError:
        pytest.skip("this machine knows no IPv6")
    with serving("-s", root, "-H", "::", "--access-log", "--workers", "1", log=tmp_path / "log") as server:
        httpx.get(f"{server.url}/v2/app/manifests/none", headers={"X-Request-Id": "seen-4"})
        wait_until(lambda: "seen-4" in server.log.read_text(), "it is not logged")
    (line,) = [line for line in server.log.read_text().splitlines() if "seen-4" in line]
    assert ' registry.access: 127.0.0.1 - "GET ' in line
    assert " by 127.0.0.1 " in k0rdentd("store", "missing", "-s", root).stdout


def test_the_configuration_file_says_how_to_log(root: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("logFormat: json\nregistry: {accessLog: true}\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("K0RDENTD_CONFIG_FILE", str(tmp_path / "c.yaml"))
        with serving("-s", root, log=tmp_path / "log") as server:
            httpx.get(f"{server.url}/v2/app/manifests/1", headers={"X-Request-Id": "seen-3"})
            wait_until(lambda: "seen-3" in server.log.read_text(), "it is not logged")
    (line,) = [line for line in server.log.read_text().splitlines() if "seen-3" in line]
    assert json.loads(line)["id"] == "seen-3"


def test_all_of_a_json_log_is_json_the_load_of_the_bundle_too(tmp_path: Path) -> None:
    members = {f"{name}_1.tar": oci_archive(small_image(name)) for name in ("a", "left-out")}
    bundle = write_tar(tmp_path / "b.tar", members, [Entry("bad_1.tar", (b"no archive" * 100,), 1000)])
    (tmp_path / "c.yaml").write_text("load: {exclude: ['left-out:*'], jobs: 1}\n")
    port = free_port()
    options = ("--log-format", "json", "-c", tmp_path / "c.yaml", "registry", "-H", "127.0.0.1", "-p", port)
    rest = ("-s", tmp_path / "s", "-b", bundle, "--htpasswd", tmp_path / "none", "-d")
    assert "none" in json.loads(k0rdentd(*map(str, (*options, *rest))).stderr)["message"]
    with (tmp_path / "log").open("wb") as log:
        command = [*COMMAND, *map(str, (*options, *rest[:4]))]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: "members failed" in (tmp_path / "log").read_text(), "the load does not end", 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        kill_session(process)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert {line["path"]: (line["outcome"], line["level"]) for line in lines if "outcome" in line} == {
        "a_1.tar": ("loaded", "info"),
        "left-out_1.tar": ("excluded", "info"),
        "bad_1.tar": ("failed", "error"),
    }
    assert any("clients must trust the CA" in line["message"] for line in lines)
