"""What strangers send, made harmless to show and to keep."""

import os
from pathlib import Path


def encodable(text: str) -> str:
    """As UTF-8 has it: bytes of a path that are none are spelled out."""
    return text.encode(errors="backslashreplace").decode()


def printable(text: str, limit: int = 400) -> str:
    """Fit for a terminal and a log: one line, nothing invisible, not endless."""
    shown = text if len(text) <= limit else f"{text[:limit]}…"
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def spelled(path: Path) -> str:
    r"""A path for what is kept: bytes that are not UTF-8, which no document may hold, as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
