"""What strangers send, made harmless to show."""


def printable(text: str, limit: int = 400) -> str:
    """Fit for a terminal and a log: one line, nothing invisible, not endless."""
    shown = text if len(text) <= limit else f"{text[:limit]}…"
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)
