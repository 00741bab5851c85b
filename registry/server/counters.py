"""What the registry counts: memory that all of its processes share, mapped before they are forked.

Every worker has a slot of its own, so that nothing is locked and nothing is lost: the memory outlives
a worker that is killed, and the one after it counts on in the same slot. One thread writes a cell; a
cell is eight aligned bytes, which a reader sees whole.
"""

import enum
import mmap
from bisect import bisect_left
from itertools import product

from registry.api.router import ROUTES, route_of
from registry.server.answer import Answer
from registry.server.request import Request

METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "other")
STATUSES = (
    *("200", "201", "202", "204", "206", "301", "302", "304", "307"),
    *("400", "401", "403", "404", "405", "409", "411", "412", "413", "414", "415", "416", "417", "429", "431"),
    *("500", "501", "502", "503", "507", "other"),
)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SLOTS = 256
"""Of which the first is the arbiter's."""

_BUCKETS = len(SECONDS) + 1
# Each route has a row of cells; these are in it. Constants, because an answer of 60 us is to lose nothing here.
_SENT, _CUT, _DURATION, _BUCKET = 0, 1, 2, 3
_ANSWERS = _BUCKET + _BUCKETS
_ROW = _ANSWERS + len(METHODS) * len(STATUSES)
_ROWS = {route: number * _ROW for number, route in enumerate(ROUTES)}
_OTHER = _ROWS["other"]
_PLACES = {pair: _ANSWERS + number for number, pair in enumerate(product(METHODS, STATUSES))}
_MICROSECONDS = 1_000_000


class Event(enum.IntEnum):
    """What is counted besides requests. A new one gets its line in `metrics.py`."""

    WORKER_STARTED = 0
    RELOADED = 1
    RELOAD_FAILED = 2


class Gauge(enum.IntEnum):
    """What a worker is busy with at the moment."""

    SERVING = 0
    CONNECTIONS = 1
    REQUESTS = 2


_EVENTS = len(ROUTES) * _ROW
_GAUGES = _EVENTS + len(Event)
_CELLS = _GAUGES + len(Gauge)


class Tally:
    """One slot: what one process has counted, and those that had the slot before it."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview | None = None) -> None:
        """Without cells, for a worker that runs alone."""
        self._cells = memoryview(bytearray(_CELLS * 8)).cast("Q") if cells is None else cells

    def answered(self, request: Request | None, answer: Answer, seconds: float) -> None:
        """Count an answer that is sent; `request` is None for what was no request."""
        cells = self._cells
        if request is None:
            row, method = _OTHER, "other"
        else:
            row, method = _ROWS[route_of(request.path)], request.method
            cells[row + _DURATION] += int(seconds * _MICROSECONDS)
            cells[row + _BUCKET + bisect_left(SECONDS, seconds)] += 1
        cells[row + (_PLACES.get((method, answer.status[:3])) or _place(method, answer.status[:3]))] += 1
        cells[row + _SENT] += answer.bytes

    def cut(self, request: Request, answer: Answer | None) -> None:
        """Count a request whose answer was not, or not all, sent."""
        row = _ROWS[route_of(request.path)]
        self._cells[row + _CUT] += 1
        if answer is not None:
            self._cells[row + _SENT] += answer.sent

    def event(self, event: Event, count: int = 1) -> None:
        """From one thread of all that share a slot."""
        self._cells[_EVENTS + event] += count

    def show(self, gauge: Gauge, value: int) -> None:
        self._cells[_GAUGES + gauge] = value

    @property
    def serves(self) -> bool:
        """Whether the worker takes connections."""
        return self._cells[_GAUGES + Gauge.SERVING] > 0

    def leave(self) -> None:
        """The worker is gone; what it counted stays."""
        for gauge in Gauge:
            self.show(gauge, 0)


class Counters:
    """All slots."""

    def __init__(self) -> None:
        cells = memoryview(mmap.mmap(-1, (1 + SLOTS * _CELLS) * 8)).cast("Q")
        self._used, self._cells = cells[:1], cells[1:]

    def tally(self, slot: int) -> Tally:
        """The slot of one process; the arbiter gives them out."""
        self._used[0] = max(self._used[0], slot + 1)
        return Tally(self._slot(slot))

    def sums(self) -> "Sums":
        """Over the slots that were ever used: to look at others would make memory of them."""
        columns = zip(*(self._slot(slot) for slot in range(self._used[0])), strict=True)
        return Sums([sum(column) for column in columns])

    def _slot(self, number: int) -> memoryview:
        return self._cells[number * _CELLS : (number + 1) * _CELLS]


class Sums:
    """What all processes have counted together."""

    def __init__(self, cells: list[int]) -> None:
        self._cells = cells

    def answers(self) -> dict[tuple[str, str, str], int]:
        """By method, route and status; only what has happened."""
        return {
            (method, route, status): self._cells[row + place]
            for route, row in _ROWS.items()
            for (method, status), place in _PLACES.items()
            if self._cells[row + place]
        }

    def sent(self) -> dict[str, int]:
        """Bytes of bodies, by route."""
        return self._by_route(_SENT)

    def cut(self) -> dict[str, int]:
        """Requests without their whole answer, by route."""
        return self._by_route(_CUT)

    def durations(self) -> dict[str, tuple[list[int], float]]:
        """By route: answers within each limit of SECONDS and above, and their seconds in sum."""
        found = {}
        for route, row in _ROWS.items():
            begin = row + _BUCKET
            found[route] = (self._cells[begin : begin + _BUCKETS], self._cells[row + _DURATION] / _MICROSECONDS)
        return found

    def event(self, event: Event) -> int:
        return self._cells[_EVENTS + event]

    def gauge(self, gauge: Gauge) -> int:
        return self._cells[_GAUGES + gauge]

    def _by_route(self, cell: int) -> dict[str, int]:
        return {route: self._cells[row + cell] for route, row in _ROWS.items()}


def _place(method: str, status: str) -> int:
    """Of what is not known by its name."""
    return _PLACES[method if method in METHODS else "other", status if status in STATUSES else "other"]
