"""The history of the tags: a record for each change, which holds the SHA-256 of the record before it.

A record is written in the transaction of the change that it tells of, so there is none without the other.
The table `history` has the records by number. The head, which is the number and the hash of the newest
one, is kept apart from them: the newest record has no other that would miss it.
"""

import enum
import functools
import hashlib
import os
import pwd
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Final, Self

import orjson

from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.reference import Reference
from registry.storage import keys
from registry.storage.environment import Rows
from registry.storage.errors import HistoryBroken

_TABLE: Final = "history"
_HEAD_TABLE: Final = "care"
_HEAD: Final = b"history"
_NUMBER: Final = struct.Struct(">Q")  # in the order of keys
_HEAD_ROW: Final = struct.Struct(">Q32s")


class Event(enum.Enum):
    """What a record tells."""

    BEGUN = "begun"
    """The chain begins, and the tags that were there before it follow as found."""
    FOUND = "found"
    SET = "set"
    DELETED = "deleted"
    CONFIRMED = "confirmed"
    """A signed bundle has the same image under the same name."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What changes tags, as far as it is known; `by` is client, load, copy, rm or fsck."""

    by: str
    user: str | None = None
    client: str | None = None
    """Its address."""
    bundle: str | None = None
    """The name of its file."""
    member: str | None = None
    sha256: str | None = None
    """Of the bundle's file, if it was hashed."""
    signer: str | None = None
    """SHA-256 of the public key, if the signature was verified."""
    source: str | None = None
    """Where a copy comes from."""

    def to_json(self) -> dict[str, str]:
        """The JSON object, without what is not known."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            key: value.encode(errors="backslashreplace").decode() for key, value in known.items() if value is not None
        }

    @classmethod
    def from_json(cls, document: dict[str, str]) -> Self:
        """What `to_json` made this of; what a newer release added is passed over."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in document.items() if key in known})


UNTOLD: Final = Cause("unknown")


@dataclass(frozen=True, slots=True)
class Record:
    """A link of the chain; `digest` is what the tag names from then on, `before` what it named until then."""

    number: int
    previous: str
    at: str
    """UTC, ISO 8601."""
    version: str
    """Of k0rdentd."""
    event: Event
    reference: Reference | None = None
    digest: Digest | None = None
    before: Digest | None = None
    cause: Cause | None = None

    def to_json(self) -> dict[str, object]:
        """The JSON object, without what does not apply."""
        document: dict[str, object] = {
            "number": self.number,
            "previous": self.previous,
            "at": self.at,
            "version": self.version,
            "event": self.event.value,
        }
        for key, value in (("image", self.reference), ("digest", self.digest), ("before", self.before)):
            if value is not None:
                document[key] = str(value)
        return document if self.cause is None else document | {"cause": self.cause.to_json()}

    @classmethod
    def from_row(cls, row: bytes) -> Self:
        """What a row tells.

        Raises:
            HistoryBroken: it is no record.
        """
        try:
            fields = orjson.loads(row)
            return cls(
                int(fields["number"]),
                str(fields["previous"]),
                str(fields["at"]),
                str(fields["version"]),
                Event(fields["event"]),
                Reference.parse(fields["image"]) if "image" in fields else None,
                _digest(fields.get("digest")),
                _digest(fields.get("before")),
                Cause.from_json(fields["cause"]) if "cause" in fields else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, OCIError) as error:
            raise HistoryBroken("it cannot be read") from error


@dataclass(frozen=True, slots=True)
class Head:
    """The newest record: its number, and the SHA-256 of it."""

    number: int
    hash: str


NO_RECORD: Final = Head(0, "0" * 64)
"""What the first record comes behind."""


def head(rows: Rows) -> Head | None:
    """What was last written, None before the chain has begun."""
    row = rows.get(_HEAD_TABLE, _HEAD)
    if row is None or len(row) != _HEAD_ROW.size:
        return None
    number, packed = _HEAD_ROW.unpack(row)
    return Head(number, packed.hex())


def begin(rows: Rows) -> None:
    """Begin the chain, unless it has begun: the tags that are there are written down as found."""
    if head(rows) is not None:
        return
    behind = Head(max((number for number, _ in chain(rows)), default=0), NO_RECORD.hash)
    behind = _write(rows, behind, Event.BEGUN)
    for reference, digest in tags(rows):
        behind = _write(rows, behind, Event.FOUND, reference, digest)


def append(
    rows: Rows, event: Event, cause: Cause, reference: Reference, digest: Digest | None, before: Digest | None
) -> None:
    """Tell of a change that the same transaction makes, before it makes it."""
    begin(rows)
    newest = head(rows)
    assert newest is not None
    _write(rows, newest, event, reference, digest, before, cause)


def chain(rows: Rows) -> Iterator[tuple[int, bytes]]:
    """The rows as they are, by the number under which they lie; 0 where that is none."""
    for key, row in rows.scan(_TABLE):
        yield (_NUMBER.unpack(key)[0] if len(key) == _NUMBER.size else 0), row


def records(rows: Rows) -> Iterator[Record]:
    """All that can be read, the oldest first; whether that is all is for an audit to say."""
    for _, row in chain(rows):
        try:
            yield Record.from_row(row)
        except HistoryBroken:
            continue


def tags(rows: Rows) -> list[tuple[Reference, Digest]]:
    """What every tag names now, whether its repository is listed or not."""
    return [(keys.unpack_tag_key(key), keys.unpack_digest(row)) for key, row in rows.scan("tags")]


def hash_of(row: bytes) -> str:
    """What the next record holds of this one."""
    return hashlib.sha256(row).hexdigest()


def local_user() -> str:
    """Whose process this is."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _write(
    rows: Rows,
    behind: Head,
    event: Event,
    reference: Reference | None = None,
    digest: Digest | None = None,
    before: Digest | None = None,
    cause: Cause | None = None,
) -> Head:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(behind.number + 1, behind.hash, at, _version(), event, reference, digest, before, cause)
    row = orjson.dumps(record.to_json())
    newest = Head(record.number, hash_of(row))
    rows.put(_TABLE, _NUMBER.pack(newest.number), row)
    rows.put(_HEAD_TABLE, _HEAD, _HEAD_ROW.pack(newest.number, bytes.fromhex(newest.hash)))
    return newest


def _digest(text: str | None) -> Digest | None:
    return None if text is None else Digest.parse(text)


@functools.cache
@cache
def _version() -> str:
    from importlib.metadata import version as distribution_version  # noqa: PLC0415  # 10 ms, and only records need it

    return distribution_version("k0rdentd")
