"""How a running load is shown: a bar on a terminal, a line an image in a log, JSON for machines."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loader.pace import Pace
from loader.pipeline import Load
from loader.report import Outcome, Status
from registry.text import printable
from registry.units import human

Show = Callable[[Outcome], None]


@contextmanager
def display(form: str, load: Load, write: Callable[[str], None]) -> Iterator[Show]:
    """What to call with each outcome; `form` is `bar`, `plain` or `json`, `write` takes a line."""
    if form == "bar":
        with _bar(load) as show:
            yield show
    elif form == "json":
        yield lambda outcome: write(_json_line(outcome, load))
    else:
        yield lambda outcome: write(plain_line(outcome, load))


def plain_line(outcome: Outcome, load: Load) -> str:
    """`[12/107] loaded capi/k0smotron:v1.10.0 86.0 MB`, and how far the load is."""
    name = printable(str(outcome.reference or outcome.path))
    tail = f": {printable(outcome.error or '')}" if outcome.status is Status.FAILED else f" {human(outcome.size)}"
    return f"{_count(outcome, load)} {outcome.status.value} {name}{tail} ({_how_far(load.pace)})"


def _how_far(pace: Pace) -> str:
    """`31 %, 810 MB/s, 17 s left`, of which a pipe gives less."""
    done = f"{human(pace.position)} so far" if pace.size is None else f"{100 * pace.position // max(1, pace.size)} %"
    left = pace.seconds_left
    return f"{done}, {human(int(pace.rate))}/s" + ("" if left is None else f", {left:.0f} s left")


def _count(outcome: Outcome, load: Load) -> str:
    """A compressed tar does not tell how many images are to come: saying a number would be a guess."""
    total = load.pace.total
    return f"[{_index(outcome, load)}/{'?' if total is None else total}]"


def _index(outcome: Outcome, load: Load) -> int:
    """The how manieth of its kind it is: with a signature, each member is told when read, and when named."""
    return load.report.read_members if outcome.status is Status.READ else load.report.members


def _json_line(outcome: Outcome, load: Load) -> str:
    pace = load.pace
    progress = {
        "index": _index(outcome, load),
        "total": pace.total,
        "position": pace.position,
        "bundle_size": pace.size,
        "bytes": load.report.bytes,
        "rate": round(pace.rate),
        "seconds": round(pace.seconds, 3),
        "seconds_left": None if pace.seconds_left is None else round(pace.seconds_left, 1),
    }
    return json.dumps(outcome.to_json() | progress)


@contextmanager
def _bar(load: Load) -> Iterator[Show]:
    # 30 ms that a load without a terminal does not need.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=load.pace.size)

        def show(outcome: Outcome) -> None:
            if outcome.status is Status.FAILED:
                progress.console.print(plain_line(outcome, load), markup=False, highlight=False, soft_wrap=True)
            progress.update(task, completed=load.pace.position, description=_count(outcome, load))

        yield show
