"""A machine made of a folder, for tests: see the package."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from tests.installer.standin.place import VARIABLE, Place
from tests.installer.standin.units import Service

_REPOSITORY = Path(__file__).parents[3]
# Python starts in a third of the time without its packages, and with few of its own modules.
_PROGRAM = """\
#!{python} -S
import sys
sys.path.insert(0, {repository!r})
{packages}from tests.installer.standin.{module} import main
sys.exit(main({arguments}))
"""
# Most calls are the first two; the others take click and yaml.
_K0S_PACKAGES = """\
if sys.argv[1:2] == ["kubectl"]:
    from tests.installer.standin.kubectl import main
    sys.exit(main())
if sys.argv[1:] in (["status", "-o", "json"], ["version"]):
    from tests.installer.standin.looks import main
    sys.exit(main({arguments}))
import site
site.main()
"""
_PROGRAMS = {
    "usr/bin/systemctl": "systemctl",
    "usr/bin/journalctl": "journalctl",
    "usr/sbin/update-ca-certificates": "certificates",
}


def program(module: str, *arguments: str) -> bytes:
    """A stand-in as an executable file."""
    shown = ", ".join(repr(each) for each in arguments)
    packages = _K0S_PACKAGES.format(arguments=shown) if module == "k0s" else ""
    return _PROGRAM.format(
        python=sys.executable, repository=str(_REPOSITORY), packages=packages, module=module, arguments=shown
    ).encode()


class Machine:
    """Its folder, its programs and its knobs."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.place = Place(self.root)
        for folder in (
            "etc/systemd/system",
            "usr/local/bin",
            "usr/bin",
            "usr/sbin",
            "var/lib",
            "run",
            "standin",
            "root",
        ):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

        (self.place.own / "owner").write_text(str(os.getpid()))

    @property
    def environment(self) -> dict[str, str]:
        """For the processes that are to believe in it."""
        folders = [str(self.root / folder) for folder in ("usr/local/bin", "usr/bin", "usr/sbin")]
        return os.environ | {VARIABLE: str(self.root), "PATH": os.pathsep.join([*folders, os.environ["PATH"]])}

    @staticmethod
    def k0s_program(version: str) -> bytes:
        """k0s of a version, such as `1.32.8`, as what a bundle's image or the operator brings."""
        return program("k0s", version)

    def install_k0s(self, version: str) -> Path:
        return self._write("usr/local/bin/k0s", self.k0s_program(version))

    def install_programs(self) -> None:
        """All but k0s."""
        for path, module in _PROGRAMS.items():
            self._write(path, program(module))

    def script(self, **knobs: object) -> None:
        """Set knobs; the others stay as they were."""
        path = self.place.own / "script.json"
        said = json.loads(path.read_text()) if path.exists() else {}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(said | knobs))
        partial.rename(path)
        assert self.place.script

    def calls(self, program: str | None = None) -> list[tuple[str, ...]]:
        """What was called so far, in order; of one program if it is named."""
        path = self.place.own / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [tuple(json.loads(line)) for line in lines]
        return [call for call in found if program in (None, call[0])]

    def stop(self) -> None:
        """End everything that runs on it."""
        for file in (self.place.own / "services").glob("*.pid"):
            number = Service(self.place, file.stem).pid  # None once it ended, and 0 would be our own group
            with contextlib.suppress(ProcessLookupError):
                if number is not None:
                    os.kill(number, signal.SIGKILL)

    def _write(self, path: str, content: bytes) -> Path:
        target = self.root / path
        partial = target.with_suffix(".partial")
        partial.write_bytes(content)
        partial.chmod(0o755)
        partial.rename(target)
        return target
