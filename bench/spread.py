"""Statistics for a machine that is never quiet: medians, and ratios taken round by round."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """The least, the middle and the greatest of some values."""

    low: float
    median: float
    high: float
    count: int = field(default=2, compare=False)

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of at least one value."""
        return cls(min(values), median(values), max(values), len(values))

    @classmethod
    def of_ratios(cls, ours: Sequence[float], theirs: Sequence[float]) -> Self:
        """The spread of ours/theirs, each ratio within one round: a busy minute slows both."""
        return cls.of([one / other for one, other in zip(ours, theirs, strict=True)])

    @property
    def is_single(self) -> bool:
        """Whether it is that of one value: then nobody knows the noise."""
        return self.count == 1

    def __str__(self) -> str:
        if self.is_single:
            return f"{self.median:.2f}"
        return f"{self.low:.2f} / {self.median:.2f} / {self.high:.2f}"


def rotated(contenders: Sequence[T], by: int) -> Sequence[T]:
    """The same contenders, another one first: whatever a predecessor leaves behind, each gets to feel it."""
    by %= len(contenders)
    return (*contenders[by:], *contenders[:by])
