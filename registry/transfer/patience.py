"""How often something is tried again, and how long to wait in between."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

from registry.transfer.errors import Interrupted, RegistryUnavailable, Stopped

_LONGEST = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endurance:
    """What a transfer bears: so many failures in a row, the first pause in seconds, and until `stop` is set."""

    stop: threading.Event
    retries: int = 5
    pause: float = 0.5

    @classmethod
    def patient(cls) -> Self:
        """One that nobody stops."""
        return cls(threading.Event())

    def check(self) -> None:
        """Raise Stopped if nobody wants to go on."""
        if self.stop.is_set():
            raise Stopped("interrupted; run it again to go on")

    def insist(self, work: Callable[[], T]) -> T:
        """What `work` returns, once it is not interrupted.

        Raises:
            RegistryUnavailable: it always was.
        """
        patience = Patience(self)
        while True:
            self.check()
            try:
                return work()
            except Interrupted as error:
                patience.wait(error)


class Patience:
    """The failures of one piece of work."""

    def __init__(self, endurance: Endurance) -> None:
        self._endurance = endurance
        self._failures = 0

    def wait(self, interruption: Interrupted) -> None:
        """Pause, longer from time to time.

        Raises:
            RegistryUnavailable: it was one failure too many.
            Stopped: nobody wants to go on.
        """
        self._failures += 1
        if self._failures > self._endurance.retries:
            tries = f" (tried {self._failures} times)" if self._failures > 1 else ""
            raise RegistryUnavailable(f"{interruption}{tries}: run it again to go on") from interruption
        pause = self._endurance.pause * 2 ** (self._failures - 1) * random.uniform(0.5, 1)  # noqa: S311  # spreads clients
        self._endurance.stop.wait(min(_LONGEST, max(pause, interruption.retry_after)))
        self._endurance.check()

    def progressed(self) -> None:
        """Failures before this do not count any more."""
        self._failures = 0
