"""What strangers send, made harmless to show; sizes as people read them."""

_LIMIT = 300


def printable(text: str) -> str:
    """One line, nothing invisible, not endless."""
    shown = text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def human(size: int) -> str:
    """A size in decimal units: `21.6 GB`."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
