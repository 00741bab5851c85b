"""What a check has to say."""

from dataclasses import dataclass
from enum import StrEnum


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
