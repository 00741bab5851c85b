"""How far a load is, how fast it goes, and when it will be done; what needed no reading counts for no rate."""

import time
from dataclasses import dataclass, field

from loader.report import Report
from loader.source import Source


@dataclass(slots=True)
class Pace:
    """Of one load; it is asked while the load goes on."""

    source: Source
    report: Report
    begun_at: int = 0
    """Bytes of the bundle that need no reading, for an earlier load did."""
    known_total: int | None = None
    """How many members there are, if the whole bundle is known."""
    _furthest: int = 0
    _started: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int | None:
        """Bytes of the bundle, as it lies on disk; None for a pipe."""
        return self.source.size

    @property
    def position(self) -> int:
        """How many of them are done with; never less than before."""
        read = max(self.report.bytes, self.report.read_bytes)
        self._furthest = max(self._furthest, self.begun_at, read if self.source.is_plain else self.source.position)
        return self._furthest

    @property
    def total(self) -> int | None:
        """How many images and charts there are, None where only the end of the bundle will tell."""
        return self.source.total if self.known_total is None else self.known_total

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Bytes of the bundle that it reads a second."""
        return (self.position - self.begun_at) / max(self.seconds, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None where nobody can know."""
        if self.size is None or not self.rate:
            return None
        return max(0, self.size - self.position) / self.rate
