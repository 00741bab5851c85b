"""What tests share: the store, bundles, and real servers and loaders as processes."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest

from bench.corpus import BundleSpec, Contents, write_bundle
from registry.storage.listing import list_images
from registry.storage.store import Store

# Where a shell starts a test run in the background, Ctrl-C is ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Bundles made for tests are not signed; tests of signatures say otherwise on the command line.
os.environ["K0RDENTD_VERIFY_SIGNATURE"] = "no"

# Nor is what Python compiles thrown away: thousands of processes would compile it anew, for a third of their CPU.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

COMMAND = (sys.executable, "-m", "installer.command")


@dataclass(frozen=True)
class Server:
    """A running `k0rdentd registry`; asked over HTTPS where its `ca` is given."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    ca: Path | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'http' if self.ca is None else 'https'}://{self.host}"

    @property
    def trust(self) -> ssl.SSLContext | bool:
        """What httpx is to verify it with."""
        return True if self.ca is None else ssl.create_default_context(cafile=self.ca)

    @property
    def workers(self) -> list[int]:
        """Process ids of its gunicorn workers: not the load that it may have started, nor what is left of one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children if b"\0registry\0" in _command_line(child)]


def _command_line(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def k0rdentd(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the real command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)  # type: ignore[call-overload,no-any-return]


@contextmanager
def serving(
    *arguments: str | Path,
    log: Path,
    wait_for: str = "/healthz",
    ca: Path | None = None,
    before: Sequence[str] = (),
) -> Iterator[Server]:
    """A real registry on a free port of the loopback; drained and stopped at the end.

    The words of `before` start the command, and end as it.
    """
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*before, *COMMAND, "registry", "-H", "127.0.0.1", "-p", str(port), *map(str, arguments)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log, ca)
    try:
        wait_until_answering(server, wait_for)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def wait_until_answering(server: Server, path: str, seconds: float = 60) -> None:
    """Until `path` answers 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            pytest.fail(f"the registry ended: {server.log.read_text()}")
        try:
            if httpx.get(server.url + path, verify=server.trust).status_code == httpx.codes.OK:
                return
        except (httpx.TransportError, FileNotFoundError):  # its CA is made at the start
            pass
        time.sleep(0.02)
    pytest.fail(f"{path} never answered 200: {server.log.read_text()}")


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Every httpx client reads the internet's 140 authorities anew, for 20 ms: here they share what one has read."""

    @cache
    def shared(*_variables: str | None) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    def made(*, verify: ssl.SSLContext | str | bool, cert: object, trust_env: bool) -> ssl.SSLContext:
        if verify is True and cert is None and trust_env:
            return shared(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")))
        return httpx.create_ssl_context(verify, cert, trust_env)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", made)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new, empty store."""
    opened = Store.open([tmp_path / "store"])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Contents]:
    """A small bundle with a member of every kind, and what is in it."""
    path = tmp_path_factory.mktemp("bundle") / "airgap-bundle-1.2.3.tar.gz"
    return path, write_bundle(BundleSpec(size=12_000_000, leading_folder=True), path, "tar.gz")


@pytest.fixture(scope="session")
def server(bundle: tuple[Path, Contents], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that has loaded the small bundle; tests only read from it."""
    folder = tmp_path_factory.mktemp("server")
    arguments = ("-s", folder / "store", "-b", bundle[0], "--workers", "2")
    with serving(*arguments, log=folder / "log", wait_for="/readyz") as running:
        yield running


def resolve(server: Server, repository: str, reference: str) -> httpx.Response:
    """A manifest."""
    return httpx.get(f"{server.url}/v2/{repository}/manifests/{reference}", verify=server.trust)


def listing(*roots: Path) -> dict[str, str]:
    """What `k0rdentd store ls` shows: digest by image."""
    store = Store.open(roots, create=False)
    try:
        return {str(each.reference): str(each.digest) for each in list_images(store)}
    finally:
        store.close()
