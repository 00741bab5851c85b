"""The standard streams of a command, whatever they were before it began."""

import os
import sys
from types import TracebackType

import click


def open_standard_streams() -> None:
    """Give each that was closed (`k0rdentd load >&-`) the null device.

    The next file to be opened would take its number otherwise, the index of a store say, and what a child
    tells would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  # until the process ends
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def end_standard_streams() -> None:
    """Give up what cannot be written, which was told: Python would try it once more and complain on its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def refused_by_machine(error: OSError) -> str | None:
    """A sentence about what nobody nearer to it has told; None where it names nothing."""
    if _came_from_telling(error):
        return f"cannot write what there is to tell: {error.strerror}"
    if error.filename is None:
        return None
    return f"{error.filename}: {error.strerror}; check its owner, mode and disk"


def _came_from_telling(error: OSError) -> bool:
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code is click.echo.__code__:
            return True
        step = step.tb_next
    return False
