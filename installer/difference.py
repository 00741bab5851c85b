"""What changes in a file, for people: a unified diff in which secrets are masked."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

from installer.redaction import MASK, is_secret_key

_PAIR = re.compile(r"""^(?P<before>[-\s{]*["']?)(?P<key>[\w.-]+)(?P<between>["']?\s*[:=]\s*)(?P<value>.*)$""")
_IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s]+(@)")


def difference(path: Path, old: bytes | None, new: bytes) -> Iterator[str]:
    """The lines of a unified diff; of what is no text, the sizes."""
    try:
        before, after = (old or b"").decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        yield f"(not text: {len(old or b'')} bytes become {len(new)})"
        return
    # Compared as they are and shown masked: a new password is a difference that must be seen as one.
    groups = list(SequenceMatcher(None, before, after).get_grouped_opcodes())
    if groups:
        yield "--- /dev/null" if old is None else f"--- {path} (now)"
        yield f"+++ {path}"
    was, will = list(_masked_lines(before)), list(_masked_lines(after))
    for group in groups:
        _, first, _, second, _ = group[0]
        _, _, first_end, _, second_end = group[-1]
        yield f"@@ -{_range(first, first_end)} +{_range(second, second_end)} @@"
        for kind, start, end, other_start, other_end in group:
            if kind == "equal":
                yield from (f" {line}" for line in was[start:end])
                continue
            yield from (f"-{line}" for line in was[start:end])
            yield from (f"+{line}" for line in will[other_start:other_end])


def _range(start: int, end: int) -> str:
    """As diff counts: from one, and an empty range from the line before it."""
    return f"{start + (end > start)},{end - start}"


def masked(line: str) -> str:
    """The line without the secrets in it."""
    found = _PAIR.match(line)
    if found and found["value"] and is_secret_key(found["key"]):
        return f"{found['before']}{found['key']}{found['between']}{MASK}"
    return _IN_URL.sub(rf"\1{MASK}\2", line)


def _masked_lines(lines: list[str]) -> Iterator[str]:
    """The lines without secrets, those too that are deeper than the key of one, such as the lines of a private key."""
    depth: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if depth is not None and (not line.strip() or indent > depth):
            yield MASK
            continue
        found = _PAIR.match(line)
        depth = indent if found and is_secret_key(found["key"]) else None
        yield masked(line)
