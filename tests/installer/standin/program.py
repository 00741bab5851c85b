"""The k0s program on its machine: its version, and the service that it asks."""

import json
import socket

from tests.installer.standin.place import Place
from tests.installer.standin.units import Refused, Service

_SOCKET = "/run/k0s/status.sock"


class K0s:
    """The program on its machine."""

    def __init__(self, place: Place, version: str) -> None:
        self.place, self.version = place, version

    @property
    def full_version(self) -> str:
        return self.version if "+" in self.version else f"v{self.version.removeprefix('v')}+k0s.0"

    def status(self) -> str:
        """What `k0s status -o json` prints."""
        return json.dumps(json.loads(self.ask("/standin/status")), indent=3)

    def ask(self, path: str) -> bytes:
        """Ask the running service, as the real one does at its socket."""
        services = (Service(self.place, f"k0s{role}") for role in ("controller", "worker"))
        if not any(each.active for each in services) or not self.place.running.exists():
            raise Refused(
                f'Error: status: can\'t get "status" via "{_SOCKET}": Get "http://localhost/status": '
                f"dial unix {_SOCKET}: connect: no such file or directory"
            )
        port = json.loads(self.place.running.read_text())["port"]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as asked, asked.makefile("rb") as answer:
            asked.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = answer.read().partition(b"\r\n\r\n")
        assert b" 200 " in head, head
        return body
