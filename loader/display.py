"""How a running load is shown: a bar on a terminal, a line an image, lines of the log, JSON for machines."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from loader.pace import Pace
from loader.pipeline import Load
from loader.report import Outcome, Status
from registry.text import printable
from registry.units import human, rough_duration

Show = Callable[[Outcome], None]
FORMS = ("auto", "bar", "plain", "json", "log")
_log = logging.getLogger("k0rdentd.load")
_TOO_EARLY = 1.0  # seconds, in which a few small images foretell nothing


@contextmanager
def display(form: str, load: Load, write: Callable[[str], None]) -> Iterator[Show]:
    """What to call with each outcome; `form` is one of FORMS but `auto`, `write` takes a line."""
    lines = Lines(load)
    if form == "bar":
        with _bar(lines) as show:
            yield show
    elif form == "json":
        yield lambda outcome: write(lines.json(outcome))
    elif form == "log":
        yield lines.log
    else:
        yield lambda outcome: write(lines.plain(outcome))


@dataclass(slots=True)
class Lines:
    """What is written of outcomes; each is counted when it is shown.

    With a signature, each member is told when it is read, and once more when it has its name.
    """

    load: Load
    _shown: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})

    def plain(self, outcome: Outcome) -> str:
        """`[12/107] loaded capi/k0smotron:v1.10.0 86.0 MB`, and how far the load is."""
        return self._line(outcome, self._index(outcome))

    def json(self, outcome: Outcome) -> str:
        """The same for a machine."""
        return json.dumps(self._fields(outcome, self._index(outcome)))

    def log(self, outcome: Outcome) -> None:
        """The line to the log, and for one that is JSON the fields beside it."""
        index = self._index(outcome)
        level = logging.ERROR if outcome.status is Status.FAILED else logging.INFO
        _log.log(level, "%s", self._line(outcome, index), extra={"fields": self._fields(outcome, index)})

    def count(self, outcome: Outcome) -> str:
        """`[12/107]` for an outcome that is shown now."""
        return self._place(self._index(outcome))

    def _line(self, outcome: Outcome, index: int) -> str:
        name = printable(str(outcome.reference or outcome.path))
        tail = f": {printable(outcome.error or '')}" if outcome.status is Status.FAILED else f" {human(outcome.size)}"
        return f"{self._place(index)} {outcome.status.value} {name}{tail} ({_how_far(self.load.pace)})"

    def _fields(self, outcome: Outcome, index: int) -> dict[str, object]:
        pace = self.load.pace
        progress = {
            "index": index,
            "total": pace.total,
            "position": pace.position,
            "bundle_size": pace.size,
            "bytes": self.load.report.bytes,
            "rate": round(pace.rate),
            "seconds": round(pace.seconds, 3),
            "seconds_left": None if pace.seconds_left is None else round(pace.seconds_left, 1),
        }
        return outcome.to_json() | progress

    def _place(self, index: int) -> str:
        """A compressed tar does not tell how many images are to come: saying a number would be a guess."""
        total = self.load.pace.total
        return f"[{index}/{'?' if total is None else total}]"

    def _index(self, outcome: Outcome) -> int:
        is_read = outcome.status is Status.READ
        self._shown[is_read] += 1
        return self._shown[is_read]


def _how_far(pace: Pace) -> str:
    """`31 %, 810 MB/s, 17 s left`, of which a pipe gives less."""
    done = f"{human(pace.position)} so far" if pace.size is None else f"{100 * pace.position // max(1, pace.size)} %"
    left = "" if pace.seconds < _TOO_EARLY else rough_duration(pace.seconds_left or 0)
    return f"{done}, {human(int(pace.rate))}/s" + (f", {left} left" if left else "")


@contextmanager
def _bar(lines: Lines) -> Iterator[Show]:
    # 30 ms that a load without a terminal does not need.
    from rich.console import Console, RenderableType  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    pace = lines.load.pace

    class Moving(Progress):
        """It goes on while one large image is read."""

        def get_renderables(self) -> Iterable[RenderableType]:
            for each in self.tasks:
                self.update(each.id, completed=pace.position)
            return super().get_renderables()

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Moving(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=pace.size)

        def show(outcome: Outcome) -> None:
            if outcome.status is Status.FAILED:
                progress.console.print(lines.plain(outcome), markup=False, highlight=False, soft_wrap=True)
            progress.update(task, description=lines.count(outcome))

        yield show
