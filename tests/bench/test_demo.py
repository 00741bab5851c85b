"""`make run`, where it cannot go well."""

import socket
import subprocess
import sys
from pathlib import Path

from bench.corpus import BundleSpec, write_bundle
from tests.conftest import free_port


def demo(*arguments: str, below: Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end in this folder."""
    command = [sys.executable, "-m", "bench.demo", *arguments]
    return subprocess.run(command, cwd=below, capture_output=True, text=True, timeout=60, check=False)


def test_a_demonstration_whose_port_is_taken_ends_and_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = demo("--port", port, below=tmp_path)
    assert done.returncode == 1
    assert f"port {port} cannot be used (Address already in use)" in done.stderr
    assert "PORT=" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_demonstration_whose_registry_does_not_start_ends(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "store").write_text("no directory")
    bundle = tmp_path / "bundle.tar"
    write_bundle(BundleSpec(1_000_000), bundle, "tar")
    done = demo("--bundle", str(bundle), "--port", str(free_port()), below=tmp_path)
    assert done.returncode == 1
    assert "the registry ended before it was ready" in done.stderr
