"""Sizes and durations as people write them."""

import re

_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?i?)b?(?:/s)?", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhd]?)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of `100MB`, `1.5GiB`, `4096`.

    Raises:
        ValueError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2].lower() not in _SIZES:
        raise ValueError(f"{text[:40]!r} is no size, such as 100MB or 1.5GiB")
    return int(float(found[1]) * _SIZES[found[2].lower()])


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `15m`, `1h`, `7d`.

    Raises:
        ValueError: it is no duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no duration, such as 15m, 1h or 7d")
    return float(found[1]) * _SECONDS[found[2].lower()]


def human_duration(seconds: float) -> str:
    """A duration as `parse_duration` reads it: `1h`, `90s`."""
    unit = next((unit for unit in "dhm" if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"


def rough_duration(seconds: float) -> str:
    """What is left of something, as precise as anybody can know it: `17 s`, `12 min`, `3 h 20 min`; nothing of 0 s."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s" if whole else ""
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def human(size: int) -> str:
    """A size in decimal units, as disks are sold: `21.6 GB`."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 blob`, `2 blobs`, `2 repositories`; `plural` where the rule does not make it."""
    usual = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural or usual}"
