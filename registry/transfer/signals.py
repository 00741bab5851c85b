"""Ctrl-C and a supervisor's SIGTERM, for work that leaves nothing half-written."""

import signal
from types import FrameType


def interrupt_on_signals() -> None:
    """Let either raise KeyboardInterrupt. A second one kills, and loses nothing either."""

    def interrupt(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
