"""Debian's docker-registry: a registry of other people, to copy to and from."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import free_port
from tests.e2e.clients import program
from tests.faults.processes import wait_until

CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/storage}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}
"""
HTPASSWD = "auth: {{htpasswd: {{realm: foreign, path: {path}}}}}"


@contextmanager
def docker_registry(folder: Path, htpasswd: Path | None = None) -> Iterator[str]:
    """One that is empty; yields its host and port."""
    port = free_port()
    auth = "" if htpasswd is None else HTPASSWD.format(path=htpasswd)
    config = folder / "docker-registry.yml"
    config.write_text(CONFIG.format(folder=folder, port=port, auth=auth))
    with (folder / "docker-registry.log").open("wb") as log:
        process = subprocess.Popen([program("docker-registry"), "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(port), "docker-registry does not answer", 30)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/v2/")
    except httpx.TransportError:
        return False
    return True
