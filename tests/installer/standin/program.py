"""The k0s program on its machine: its version, and the service that it asks."""

import json
import urllib.request

from tests.installer.standin.place import Place
from tests.installer.standin.units import Refused, k0s_service

_SOCKET = "/run/k0s/status.sock"


class K0s:
    """The program on its machine."""

    def __init__(self, place: Place, version: str) -> None:
        self.place, self.version = place, version

    @property
    def full_version(self) -> str:
        return self.version if "+" in self.version else f"v{self.version.removeprefix('v')}+k0s.0"

    def ask(self, path: str) -> bytes:
        """Ask the running service, as the real one does at its socket."""
        service = k0s_service(self.place)
        if service is None or not service.active or not self.place.running.exists():
            raise Refused(
                f'Error: status: can\'t get "status" via "{_SOCKET}": Get "http://localhost/status": '
                f"dial unix {_SOCKET}: connect: no such file or directory"
            )
        port = json.loads(self.place.running.read_text())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return bytes(answer.read())
