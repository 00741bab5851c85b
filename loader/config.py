"""The loader's settings: read once, from options, into one frozen type."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from loader.selection import Selection
from registry.verification import Evidence


def default_jobs() -> int:
    """Processes that hash and write; one core at least stays with the process that reads."""
    return max(2, min(8, len(os.sched_getaffinity(0)) - 1))


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What `k0rdentd load` was told."""

    bundle: Path
    storage: tuple[Path, ...]
    jobs: int
    selection: Selection = field(default_factory=Selection)
    strip_components: int | None = None
    force: bool = False
    evidence: Evidence | None = None
    """What the bundle's signature is checked with; None if the operator waived it."""
