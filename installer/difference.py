"""What changes in a file, for people: a unified diff in which secrets are masked."""

import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

# A value beside such a key is nobody's business, wherever in a file it stands.
_SECRET = re.compile(
    r"""^(?P<key>[-\s]*["']?[\w.-]*?
    (?:password|passwd|token|secret|secret[_-]?key|secretaccesskey|sessiontoken|api[_-]?key|private[_-]?key|credentials|datasource)
    ["']?\s*[:=]\s*)(?P<value>\S.*)$""",
    re.IGNORECASE | re.VERBOSE,
)
_INLINE = re.compile(r"(://[^/\s:@]+:)[^/\s@]+(@)")


def difference(path: Path, old: bytes | None, new: bytes) -> Iterator[str]:
    """The lines of a unified diff; of what is no text, the sizes."""
    try:
        before, after = (old or b"").decode(), new.decode()
    except UnicodeDecodeError:
        yield f"(not text: {len(old or b'')} bytes become {len(new)})"
        return
    was = "/dev/null" if old is None else f"{path} (now)"
    # Masked after they were compared: a new password is a difference that must be seen as one.
    for line in unified_diff(before.splitlines(), after.splitlines(), was, str(path), lineterm=""):
        yield line[:1] + masked(line[1:])


def masked(line: str) -> str:
    """The line without the secrets in it."""
    return _INLINE.sub(r"\1***\2", _SECRET.sub(lambda found: f"{found['key']}***", line))
