"""From steps to changes, and from changes to another host.

    plan    steps → what each one still has to change; nothing is touched
    apply   the same list, each change recorded and then made

A step looks at the effect that it is for, never at what another step has just written. So the list is complete before
anything is done, and a host that was left half-way gets what is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from installer.changes import Change
from installer.host import Host
from installer.journal import keep


class Step(Protocol):
    """One effect that a host is to have."""

    @property
    def title(self) -> str:
        """What it is about, in a few words."""

    def changes(self, host: Host) -> Iterator[Change]:
        """What is still to be done until the effect is there; reads only."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A change, and the step that asks for it."""

    step: str
    change: Change


@dataclass(frozen=True, slots=True)
class Told:
    """How far an application is: a change that begins, or with `note` what it waits for."""

    number: int
    total: int
    planned: Planned
    note: str = ""


def plan(host: Host, steps: Sequence[Step]) -> list[Planned]:
    """Everything that is still to be done."""
    return [Planned(step.title, change) for step in steps for change in step.changes(host)]


def apply(host: Host, planned: Sequence[Planned]) -> Iterator[Told]:
    """Make what was planned, in order; it may be stopped anywhere, and planned and applied again."""
    for number, each in enumerate(planned, 1):
        yield Told(number, len(planned), each)
        keep(host, each.change.replaces)
        for note in each.change.make(host):
            yield Told(number, len(planned), each, note)
