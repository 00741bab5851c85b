"""What registries send, made harmless to show."""

from registry import text as shown

_LIMIT = 300


def printable(text: str) -> str:
    """As `registry.text.printable`, and shorter: an error holds several of them."""
    return shown.printable(text, _LIMIT)
