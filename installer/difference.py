"""What changes in a file, for people: a unified diff in which secrets are masked."""

import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

from installer.redaction import MASK, is_secret_key

_PAIR = re.compile(r"""^(?P<before>[-\s{]*["']?)(?P<key>[\w.-]+)(?P<between>["']?\s*[:=]\s*)(?P<value>.*)$""")
_IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s]+(@)")


def difference(path: Path, old: bytes | None, new: bytes) -> Iterator[str]:
    """The lines of a unified diff; of what is no text, the sizes."""
    try:
        before, after = (old or b"").decode(), new.decode()
    except UnicodeDecodeError:
        yield f"(not text: {len(old or b'')} bytes become {len(new)})"
        return
    hidden = _below_secrets(before) | _below_secrets(after)
    was = "/dev/null" if old is None else f"{path} (now)"
    # Masked after they were compared: a new password is a difference that must be seen as one.
    for line in unified_diff(before.splitlines(), after.splitlines(), was, str(path), lineterm=""):
        yield line[:1] + (MASK if line[1:] in hidden else masked(line[1:]))


def masked(line: str) -> str:
    """The line without the secrets in it."""
    found = _PAIR.match(line)
    if found and found["value"] and is_secret_key(found["key"]):
        return f"{found['before']}{found['key']}{found['between']}{MASK}"
    return _IN_URL.sub(rf"\1{MASK}\2", line)


def _below_secrets(text: str) -> set[str]:
    """The lines that are deeper than the key of a secret before them, such as those of a private key."""
    hidden, depth = set(), None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if depth is not None and line.strip() and indent > depth:
            hidden.add(line)
        elif line.strip():
            found = _PAIR.match(line)
            depth = indent if found and is_secret_key(found["key"]) else None
    return hidden
