"""What can go wrong between the store and its disks.

Failure
└── StorageError           exit code 4: a fault of the machine, not of the request
    ├── StorageFull        no space, or no quota
    ├── StorageForeign     exit code 2: the directory is something else, or of a newer release
    ├── StorageMissing     exit code 2: there is no store, and none was to be made
    │   └── RootMissing    a storage root that has blobs of the store is not there, or not named
    ├── StorageBusy        another process does what only one may do at a time
    ├── HistoryBroken      exit code 1: the history of the tags is not what was written
    └── StorageUnusable    the directory cannot be read or written
        ├── StorageReadOnly  the disk is read-only
        └── BlobGone       a blob's file was taken away before the blob had a name
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from registry.oci.errors import Failure

LOAD_AGAIN = "load the bundles again ('k0rdentd load'); what was pushed has to be pushed again"


class StorageError(Failure):
    """The store's disks or files refuse."""

    exit_code: ClassVar[int] = 4


class StorageFull(StorageError):
    """No space is left below a storage root."""


class StorageForeign(StorageError):
    """The directory holds something that is not a store of this release."""

    exit_code: ClassVar[int] = 2


class StorageMissing(StorageError):
    """There is no store in the directory."""

    exit_code: ClassVar[int] = 2


class RootMissing(StorageMissing):
    """A storage root that has blobs of the store is not there, or not named."""


class StorageBusy(StorageError):
    """Another process holds what only one may hold."""


class HistoryBroken(StorageError):
    """The history of the tags is not what was written."""

    exit_code: ClassVar[int] = 1


class StorageUnusable(StorageError):
    """The directory cannot be read or written."""


class StorageReadOnly(StorageUnusable):
    """The disk is read-only, be it by intent or because the kernel no longer trusts it."""


class BlobGone(StorageUnusable):
    """A blob's file was taken away before the blob had a name; nothing is lost that was promised."""


def way_out(index: Path) -> str:
    """What to do about an index that is damaged."""
    return f"put a copy of it back, or stop the registry, move {index} away and {LOAD_AGAIN}"


def read_only(path: Path) -> StorageReadOnly:
    """What to say where a change was wanted."""
    return StorageReadOnly(
        f"{path} is on a read-only disk, nothing can be changed there: what only reads still works, "
        "such as 'k0rdentd store export' and 'copy'; see 'dmesg' for why, and mount it writable"
    )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals at `path` into ours.

    Raises:
        StorageFull: no space or quota is left.
        StorageUnusable: no permission, a read-only or broken disk.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from error


def disk_error(path: Path, error: OSError) -> StorageError:
    """What a refusal of the operating system at `path` amounts to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            f"no space left at {path}: free some, or run 'k0rdentd store gc', then repeat; nothing is lost"
        )
    if error.errno == errno.EROFS:
        return read_only(path)
    return StorageUnusable(f"{path}: {error.strerror or error}; check its owner, mode and disk")
