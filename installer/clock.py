"""The machine's clock, where it says what no program can work with."""

import time
from typing import ClassVar

from registry.oci.errors import Failure


class ClockUnusable(Failure):
    """The time cannot be asked for."""

    exit_code: ClassVar[int] = 4


def require_clock() -> None:
    """That the time can be asked for: half of the standard library does.

    Raises:
        ClockUnusable: it is past what 64 bits of nanoseconds hold.
    """
    try:
        time.time()
    except OverflowError as error:
        raise ClockUnusable("this machine's clock is past the year 2262: set it ('timedatectl set-time')") from error
