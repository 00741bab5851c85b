"""Where the stand-ins keep what they know: below the folder that is their machine."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

VARIABLE = "K0S_STANDIN_ROOT"


@dataclass(frozen=True)
class Script:
    """The knobs; the package says what they mean."""

    looks: int = 1
    readyz: bool = True
    connected: bool = True
    node_ready: bool = True
    chart_error: str = ""
    components: Sequence[str] = (
        "kcm",
        "capi",
        "cluster-api-provider-aws",
        "cluster-api-provider-azure",
        "cluster-api-provider-openstack",
        "projectsveltos",
    )
    component_errors: dict[str, str] | None = None
    template_errors: dict[str, str] | None = None
    credential_errors: dict[str, str] | None = None
    webhook_down: bool = False
    start_error: str = ""
    stop_error: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        try:
            said = json.loads(path.read_text())
        except FileNotFoundError:
            return cls()
        unknown = set(said) - {field.name for field in fields(cls)}
        assert not unknown, f"no such knobs: {unknown}"
        return cls(**said)


@dataclass(frozen=True)
class Place:
    """A machine's folder."""

    root: Path

    @classmethod
    def here(cls) -> Self:
        """That of the environment."""
        return cls(Path(os.environ[VARIABLE]))

    def at(self, path: str | Path) -> Path:
        """Where a path of the machine is here, whether its folder is in front of it already or not."""
        given = Path(path)
        return given if given.is_relative_to(self.root) else self.root / str(given).lstrip("/")

    @property
    def own(self) -> Path:
        """The stand-ins' own folder, which no machine has."""
        return self.root / "standin"

    @property
    def units(self) -> Path:
        return self.root / "etc/systemd/system"

    @property
    def lasting(self) -> Path:
        """k0s' data directory."""
        return self.root / "var/lib/k0s"

    @property
    def admin(self) -> Path:
        return self.lasting / "pki/admin.conf"

    @property
    def running(self) -> Path:
        """What the running k0s tells of itself."""
        return self.root / "run/k0s/status.json"

    @property
    def script(self) -> Script:
        return Script.read(self.own / "script.json")

    @property
    def is_orphaned(self) -> bool:
        """Whether the process that made the machine is gone."""
        try:
            return not Path(f"/proc/{(self.own / 'owner').read_text()}").exists()
        except FileNotFoundError:
            return True

    def log_call(self, *words: str) -> None:
        """Append to the list of calls."""
        self.own.mkdir(parents=True, exist_ok=True)
        with (self.own / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps(words) + "\n")
