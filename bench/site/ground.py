"""What the machine has to give: its disk, its network cards, its processor's TLS."""

import mmap
import os
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CHUNK = 4 * 1024 * 1024
_RECORD = 16 * 1024
_SLICE = 0.2
_MEGABIT = 1e6 / 8


def disk_rate(roots: Iterable[Path], seconds: float, share: float) -> float | None:
    """Bytes a second, read from blob files past the page cache, so that nothing is evicted; None without any.

    In slices, so that the disk is busy for no more than `share` of the time.
    """
    files = sorted((path for root in roots for path in (root / "blobs").glob("*/*/*")), key=_size, reverse=True)
    buffer, count, busy = mmap.mmap(-1, _CHUNK), 0, 0.0
    for path in files:
        if busy >= seconds:
            break
        began = time.monotonic()
        count += _read(path, buffer, began + _SLICE)
        taken = time.monotonic() - began
        busy += taken
        time.sleep(taken * (1 / share - 1))
    return count / busy if count else None


def link_rate() -> float | None:
    """Bytes a second of the fastest network card that is up and tells its speed."""
    speeds = [_speed(card) for card in Path("/sys/class/net").iterdir() if (card / "device").exists()]
    return max((speed for speed in speeds if speed), default=None)


def memory_available() -> int:
    """Bytes that the page cache may take."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def encryption_seconds() -> float:
    """Seconds of a core that a byte takes to encrypt, in records of TLS."""
    cipher, record, nonce = AESGCM(bytes(16)), bytes(_RECORD), bytes(12)
    began, count = time.process_time(), 0
    while (taken := time.process_time() - began) < _SLICE:
        for _ in range(64):
            cipher.encrypt(nonce, record, None)
        count += 64 * _RECORD
    return taken / count


def _speed(card: Path) -> float | None:
    try:
        megabits = int((card / "speed").read_text())
    except (OSError, ValueError):  # virtual cards tell none
        return None
    return megabits * _MEGABIT if megabits > 0 else None


def _read(path: Path, buffer: mmap.mmap, end: float) -> int:
    """Bytes read until the file ends, or the time comes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:  # it was removed, or this file system reads only through the cache
        return 0
    try:
        count = 0
        while time.monotonic() < end and (piece := os.preadv(descriptor, [buffer], count)):
            count += piece
        return count
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
