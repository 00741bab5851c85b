"""What a load did, member by member and in sum; text and JSON of it."""

import enum
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from registry.oci.digest import Digest
from registry.oci.reference import Reference
from registry.storage.history import Cause, local_user
from registry.transfer.output import write_file
from registry.units import human

_ENTERPRISE_CHART = "charts/k0rdent-enterprise"


class Status(enum.Enum):
    """How a member of the bundle fared."""

    READ = "read"
    """In the store, and not named before the bundle's signature holds; another outcome follows."""
    LOADED = "loaded"
    PRESENT = "present"
    MENDED = "mended"
    """Its name was there, and a blob of it was not: the load has brought that."""
    EXCLUDED = "excluded"
    FAILED = "failed"


_HELD = (Status.LOADED, Status.PRESENT, Status.MENDED)


def write_json(path: Path, document: dict[str, object]) -> None:
    """A document for people and programs, whole or not at all.

    Raises:
        ExportFailed: the disk refuses.
    """
    body = json.dumps(document, indent=2).encode() + b"\n"
    write_file(path, (body,), len(body))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one member; `size` is that of its archive in bytes."""

    path: str
    size: int
    status: Status
    reference: Reference | None = None
    digest: Digest | None = None
    error: str | None = None
    is_known: bool = False
    """It needed no reading: an earlier load of the bundle did."""

    @property
    def is_held(self) -> bool:
        """Whether the store now has it under its name."""
        return self.status in _HELD

    def to_json(self) -> dict[str, object]:
        """The JSON object, without what is not known."""
        document: dict[str, object] = {"path": self.path, "size": self.size, "outcome": self.status.value}
        document["source"] = "earlier load" if self.is_known else "bundle"
        for key, value in (("image", self.reference), ("digest", self.digest), ("error", self.error)):
            if value is not None:
                document[key] = str(value)
        return document


@dataclass(slots=True)
class Origin:
    """Where the images of a load come from; the file's hash and the signer's are known once they are proven."""

    file: str
    size: int | None
    begun: str
    """UTC, ISO 8601."""
    version: str | None = None
    """Of k0rdent, if the load brought it."""
    sha256: str | None = None
    signer: str | None = None
    """SHA-256 of the public key."""
    is_recalled: bool = False
    """An earlier load checked it, and the file was not touched since."""

    def to_json(self) -> dict[str, object]:
        """The JSON object, without what is not known."""
        return {key: value for key, value in asdict(self).items() if value not in (None, False)}


@dataclass(slots=True)
class Report:
    """A load as it goes on; failures are kept, all else is counted.

    `held` is what an earlier load of this bundle had brought when it ended, in bytes.
    """

    bundle: str
    origin: Origin
    held: int = 0
    read_members: int = 0
    """Those that wait for the signature, or did."""
    read_bytes: int = 0
    known: int = 0
    """Members that needed no reading."""
    known_bytes: int = 0
    counts: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    bytes: int = 0
    brought: int = 0
    """Bytes of members that the store now holds."""
    waiting: int = 0
    """Bytes of members whose blobs it holds until the signature does, or did."""
    failures: list[Outcome] = field(default_factory=list)
    platforms: set[str] = field(default_factory=set)
    """For which the members have images, wanted or not, if some platforms are selected."""

    def add(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        self.bytes += outcome.size
        self.brought += outcome.size * outcome.is_held
        self.known += outcome.is_known
        self.known_bytes += outcome.size * outcome.is_known
        if outcome.status is Status.FAILED:
            self.failures.append(outcome)
        elif outcome.reference is not None and str(outcome.reference.repository).endswith(_ENTERPRISE_CHART):
            self.origin.version = str(outcome.reference.tag)

    def read(self, size: int, *, is_wanted: bool) -> None:
        """Count a member that waits for the signature."""
        self.read_members += 1
        self.read_bytes += size
        self.waiting += size * is_wanted

    def withdraw(self, outcome: Outcome) -> None:
        """Count it no longer: it fared otherwise in the end."""
        self.counts[outcome.status] -= 1
        self.bytes -= outcome.size
        self.brought -= outcome.size * outcome.is_held
        self.known -= outcome.is_known
        self.known_bytes -= outcome.size * outcome.is_known

    @property
    def members(self) -> int:
        return sum(self.counts.values())

    @property
    def images(self) -> int:
        """Those of the bundle that the store now holds."""
        return sum(self.counts[status] for status in _HELD)

    def summary(self, seconds: float, did: str = Status.LOADED.value) -> str:
        """One line for an operator; `did` is what became of members that were not there."""
        names = {status: status.value for status in Status} | {Status.LOADED: did}
        parts = [f"{count} {names[status]}" for status, count in self.counts.items() if count]
        known = f" ({self.known} of them known from an earlier load)" if self.known else ""
        read = self.bytes - self.known_bytes
        rate = f" ({read / seconds / 1e6:.0f} MB/s)" if read and seconds else ""
        return f"{', '.join(parts) or 'nothing'}{known}: {human(self.bytes)} in {seconds:.1f} s{rate}"

    def write(self, path: Path, outcomes: Sequence[Outcome], error: str | None = None) -> None:
        """All of it as a JSON document, whole or not at all; `error` is what ended it early.

        Raises:
            ExportFailed: the disk refuses.
        """
        members = [outcome.to_json() for outcome in outcomes]
        ended = {} if error is None else {"error": error}
        write_json(path, {"bundle": self.bundle, "origin": self.origin.to_json(), **ended, "members": members})

    def cause(self, member: str | None = None) -> Cause:
        """For the history of the tags: the bundle, as far as it is proven by now."""
        origin = self.origin
        file, sha256, signer = origin.file, origin.sha256, origin.signer
        return Cause("load", local_user(), bundle=file, member=member, sha256=sha256, signer=signer)

    def state(self, state: str) -> dict[str, object]:
        """For the index: what `/readyz` and the next load want to know."""
        brought = max(self.held, self.brought, self.waiting)
        counts = {"images": self.images, "failed": self.counts[Status.FAILED], "bytes": brought}
        return {"state": state, **counts, "origin": self.origin.to_json()}
