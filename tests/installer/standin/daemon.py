"""`k0s controller` and `k0s worker`: the process of the service, with a Kubernetes API on the loopback."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.installer.standin import token
from tests.installer.standin.api import Answer, Api
from tests.installer.standin.cluster import ApiError, Cluster
from tests.installer.standin.clusterconfig import read_config
from tests.installer.standin.containerd import refuse_drop_ins
from tests.installer.standin.place import Place
from tests.installer.standin.story import Story
from tests.installer.standin.units import Refused

_JOINED = "standin-joined"
_LOOK = 1.0


def run(place: Place, version: str, role: str, said: Mapping[str, object]) -> None:
    """Start as the real one does, or end with what it says; then serve until SIGTERM."""
    if place.script.start_error:
        raise Refused(f"Error: {place.script.start_error}")
    if not said.get("ignore_pre_flight_checks"):
        refuse_drop_ins(place, version)
    config = said.get("config")
    document = read_config(place, Path(str(config)) if config else None) if role == "controller" else None
    place.lasting.mkdir(parents=True, exist_ok=True)
    _join(place, role, said.get("token_file"))
    _serve(Node(place, version, role, said, document))


class Node:
    """The running k0s."""

    def __init__(
        self, place: Place, version: str, role: str, said: Mapping[str, object], config: Mapping[str, object] | None
    ) -> None:
        self.place, self.version, self.role, self.said, self.config = place, version, role, said, config
        self.works = role == "worker" or bool(said.get("enable_worker") or said.get("single"))
        cluster = Cluster(place.lasting / "standin-objects.json")
        kubernetes = f"{version.partition('+')[0]}+k0s"  # without the number of the build
        self.story = Story(place, cluster, kubernetes)
        self.api = Api(cluster, self.story, kubernetes)
        if config is not None:
            self.story.begin(config, works=self.works)

    def answer(self, method: str, target: str, kind: str, body: bytes) -> Answer:
        """One request at a time: `k0s status` as well as kubectl's."""
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        with self.api.lock:
            try:
                if url.path == "/standin/status":
                    return 200, "application/json", json.dumps(self.status()).encode()
                return self.api.answer(method, url.path, query, kind, body)
            except ApiError as error:
                return error.code, "application/json", json.dumps(_failure(error)).encode()

    def status(self) -> dict[str, object]:
        """As `k0s status -o json` prints it."""
        connected = self.place.script.connected and (self.story.is_due("status") or self._connected)
        self._connected = connected
        message = "" if connected else "failed to connect to the API: connection refused"
        return {
            "Version": self.version,
            "Pid": os.getpid(),
            "Role": self.role,
            "SysInit": "linux-systemd",
            "StubFile": f"/etc/systemd/system/k0s{self.role}.service",
            "Workloads": self.works,
            "SingleNode": bool(self.said.get("single")),
            "Args": sys.argv,
            "WorkerToAPIConnectionStatus": {"Message": message, "Success": self.works and connected},
            "ClusterConfig": self.config,
            "K0sVars": {"AdminKubeConfigPath": str(self.place.admin), "DataDir": str(self.place.lasting)},
        }

    _connected = False


def _join(place: Place, role: str, token_file: object) -> None:
    """The token is read as long as the node has not joined."""
    joined = place.lasting / _JOINED
    if joined.exists():
        return
    if token_file:
        token.check(place, str(token_file), role)
    elif role == "worker":
        raise Refused("Error: a worker needs a join token")
    if role == "worker":
        (place.lasting / "kubelet.conf").touch()
    joined.touch()


class _Server(ThreadingHTTPServer):
    """Ends with the tests that made its machine, however they end."""

    def __init__(self, node: Node) -> None:
        super().__init__(("127.0.0.1", 0), _handler(node))
        self._place, self._looked = node.place, time.monotonic()

    def service_actions(self) -> None:
        now = time.monotonic()
        if now - self._looked > _LOOK:
            self._looked = now
            if self._place.is_orphaned:
                os.kill(os.getpid(), signal.SIGTERM)


def _serve(node: Node) -> None:
    server = _Server(node)
    server.daemon_threads = True
    port = server.server_address[1]
    if node.role == "controller":
        _write_admin(node.place, port)
    managed = node.place.root / "etc/k0s/containerd.toml"
    if node.works and not managed.exists():
        managed.parent.mkdir(parents=True, exist_ok=True)
        managed.write_text("# k0s_managed=true\n")
    # shutdown() waits for the loop, which this thread runs.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    node.place.running.parent.mkdir(parents=True, exist_ok=True)
    partial = node.place.running.with_suffix(".partial")
    partial.write_text(json.dumps({"port": port}))
    partial.rename(node.place.running)
    server.serve_forever(poll_interval=0.05)
    node.place.running.unlink(missing_ok=True)


def _write_admin(place: Place, port: int) -> None:
    place.admin.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "Default", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "Default",
        "users": [{"name": "user", "user": {}}],
    }
    place.admin.write_text(yaml.safe_dump(document))
    place.admin.chmod(0o600)


def _handler(node: Node) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet: its second one would wait 40 ms for the first to be acknowledged

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815  # names of http.server

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, kind, content = node.answer(self.command, self.path, self.headers.get("Content-Type", ""), body)
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """The journal is for what k0s says."""

    return Handler


def _failure(error: ApiError) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "code": error.code,
    }
