"""Services as systemd runs them: a unit file, and the process of its ExecStart."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.installer.standin.place import Place

_SECONDS = 20
_PAUSE = 0.01


class Refused(Exception):
    """What the program says on standard error before it ends with 1."""


@dataclass(frozen=True)
class Service:
    """One service of a machine; only those of k0s really run."""

    place: Place
    name: str

    @property
    def unit(self) -> Path:
        return self.place.units / f"{self.name}.service"

    @property
    def log(self) -> Path:
        return self._folder / f"{self.name}.log"

    @property
    def command(self) -> list[str]:
        """ExecStart, the program as it is found here."""
        found = re.search(r"^ExecStart=(.+)$", self.unit.read_text(), re.MULTILINE)
        assert found, f"{self.unit} has no ExecStart"
        words = shlex.split(found[1])
        return [str(self.place.at(words[0])), *words[1:]]

    @property
    def pid(self) -> int | None:
        """That of its process, if it lives."""
        try:
            number = int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return number if _lives(number) else None

    @property
    def active(self) -> bool:
        return self.pid is not None if self._real else self._pid_file.exists()

    def start(self) -> None:
        """As systemd does: a service that ends at once has been started all the same."""
        if self.active:
            return
        if not self.unit.exists():
            raise Refused(f"Failed to start {self.name}.service: Unit {self.name}.service not found.")
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._real:
            self._pid_file.write_text("0")
            return
        self.place.running.unlink(missing_ok=True)
        process = self._launch()
        self._pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + _SECONDS
        while process.poll() is None and not self.place.running.exists() and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def stop(self) -> None:
        number = self.pid
        self._pid_file.unlink(missing_ok=True)
        if number is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS
        while _lives(number) and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            try:
                return subprocess.Popen(
                    self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
                )
            except OSError as error:
                raise Refused(f"Failed to start {self.name}.service: {error}") from error

    @property
    def _real(self) -> bool:
        return self.name.startswith("k0s")

    @property
    def _folder(self) -> Path:
        return self.place.own / "services"

    @property
    def _pid_file(self) -> Path:
        return self._folder / f"{self.name}.pid"


def k0s_service(place: Place) -> Service | None:
    """The one that `k0s install` wrote."""
    for role in ("controller", "worker"):
        service = Service(place, f"k0s{role}")
        if service.unit.exists():
            return service
    return None


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
