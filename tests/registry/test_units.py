"""Sizes and durations as people write them."""

import pytest

from registry.units import counted, human, parse_duration, parse_size, rough_duration


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("100MB", 10**8), ("100 mb/s", 10**8), ("1.5GiB", 3 << 29), ("2k", 2000), ("7B", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("1.5 h", 5400), ("7d", 604800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "MB", "-1", "1x", "1 2", "i", "1e9", "nan"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


def test_sizes_are_told_as_disks_are_sold() -> None:
    assert [human(size) for size in (7, 1500, 21_600_000, 21_600_000_000)] == ["7 B", "1.5 kB", "21.6 MB", "21.6 GB"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, ""), (1, "1 s"), (99.4, "99 s"), (100, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min")],
)
def test_what_is_left_is_told_no_more_precisely_than_anybody_knows(seconds: float, text: str) -> None:
    assert rough_duration(seconds) == text


def test_one_thing_is_not_told_as_several() -> None:
    assert [counted(number, "blob") for number in (0, 1, 2)] == ["0 blobs", "1 blob", "2 blobs"]
    assert [counted(number, "repository") for number in (1, 2)] == ["1 repository", "2 repositories"]
    assert [counted(number, "image or chart", "images and charts") for number in (1, 2)] == [
        "1 image or chart",
        "2 images and charts",
    ]
