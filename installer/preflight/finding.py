"""What a check has to say."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from installer.errors import WillNot


class Severity(StrEnum):
    """`fatal` makes an installation pointless, `warning` may, `note` is good to know."""

    FATAL = "fatal"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and the way out."""

    check: str
    severity: Severity
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.fix}" if self.fix else self.what


def fatal(check: str, what: str, fix: str) -> Finding:
    return Finding(check, Severity.FATAL, what, fix)


def warning(check: str, what: str, fix: str) -> Finding:
    return Finding(check, Severity.WARNING, what, fix)


def note(check: str, what: str, fix: str = "") -> Finding:
    return Finding(check, Severity.NOTE, what, fix)


def refuse(found: Sequence[Finding], why: str) -> None:
    """Go on only if nothing was found.

    Raises:
        WillNot: something was; tells all of it, and each way out once.
    """
    told = ""
    for fix, several in groupby(found, lambda each: each.fix):
        told += "".join(f"\n  {each.check}: {each.what}" for each in several) + f"\n    → {fix}"
    if told:
        raise WillNot(f"{why}, and --skip-preflight would begin all the same:{told}")
