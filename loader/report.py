"""What a load did, member by member and in sum; text and JSON of it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from registry.oci.digest import Digest
from registry.oci.reference import Reference


class Status(enum.Enum):
    """How a member of the bundle fared."""

    LOADED = "loaded"
    PRESENT = "present"
    EXCLUDED = "excluded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one member; `size` is that of its archive in bytes.

    `source` tells whether this load read it in the bundle, or an earlier one did and it is still there.
    """

    path: str
    size: int
    status: Status
    reference: Reference | None = None
    digest: Digest | None = None
    error: str | None = None
    source: str = "bundle"

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """What `to_json` made this of; errors are not kept."""
        image, digest = document.get("image"), document.get("digest")
        return cls(
            str(document["path"]),
            int(str(document["size"])),
            Status(document["outcome"]),
            Reference.parse(str(image)) if image else None,
            Digest.parse(str(digest)) if digest else None,
        )

    def to_json(self) -> dict[str, object]:
        """The JSON object, without what is not known."""
        document: dict[str, object] = {"path": self.path, "size": self.size, "outcome": self.status.value}
        document["source"] = self.source
        for key, value in (("image", self.reference), ("digest", self.digest), ("error", self.error)):
            if value is not None:
                document[key] = str(value)
        return document


@dataclass(slots=True)
class Report:
    """A load as it goes on; failures are kept, all else is counted.

    `held` is what an earlier load of this bundle had brought when it ended, in bytes.
    """

    bundle: str
    held: int = 0
    counts: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    bytes: int = 0
    failures: list[Outcome] = field(default_factory=list)
    known: int = 0
    """Members that needed no reading."""
    read: int = 0
    """Bytes of those that did."""

    def add(self, outcome: Outcome) -> None:
        if outcome.source == "bundle":
            self.read += outcome.size
        else:
            self.known += 1
        self.counts[outcome.status] += 1
        self.bytes += outcome.size
        if outcome.status is Status.FAILED:
            self.failures.append(outcome)

    @property
    def members(self) -> int:
        return sum(self.counts.values())

    @property
    def images(self) -> int:
        """Those of the bundle that the store now holds."""
        return self.counts[Status.LOADED] + self.counts[Status.PRESENT]

    def summary(self, seconds: float) -> str:
        """One line for an operator."""
        parts = [f"{count} {status.value}" for status, count in self.counts.items() if count]
        rate = self.read / seconds / 1e6 if seconds else 0.0
        known = f" ({self.known} of them known from an earlier load)" if self.known else ""
        return f"{', '.join(parts) or 'nothing'}{known}: {human(self.bytes)} in {seconds:.1f} s ({rate:.0f} MB/s)"

    def state(self, state: str) -> dict[str, object]:
        """For the index: what `/readyz` and the next load want to know."""
        brought = max(self.held, self.bytes)
        return {"state": state, "images": self.images, "failed": self.counts[Status.FAILED], "bytes": brought}


def printable(text: str, limit: int = 400) -> str:
    """What a bundle calls its members, harmless for a terminal and a log: one line, nothing invisible, not endless."""
    shown = text if len(text) <= limit else f"{text[:limit]}…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def human(size: int) -> str:
    """A size in decimal units, as disks are sold: `21.6 GB`."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
