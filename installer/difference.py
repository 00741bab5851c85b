"""What changes in a file, for people: a unified diff in which secrets are masked."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

from installer.redaction import Redactor


def difference(path: Path, old: bytes | None, new: bytes) -> Iterator[str]:
    """The lines of a unified diff; of what is no text, the sizes."""
    try:
        was, will = (old or b"").decode(), new.decode()
    except UnicodeDecodeError:
        yield f"(not text: {len(old or b'')} bytes become {len(new)})"
        return
    before, after = was.splitlines(), will.splitlines()
    # Compared as they are and shown masked: a new password is a difference that must be seen as one.
    groups = list(SequenceMatcher(None, before, after).get_grouped_opcodes())
    if groups:
        yield "--- /dev/null" if old is None else f"--- {path} (now)"
        yield f"+++ {path}"
    before, after = Redactor().clean(was).splitlines(), Redactor().clean(will).splitlines()
    for group in groups:
        _, first, _, second, _ = group[0]
        _, _, first_end, _, second_end = group[-1]
        yield f"@@ -{_range(first, first_end)} +{_range(second, second_end)} @@"
        for kind, start, end, other_start, other_end in group:
            if kind == "equal":
                yield from (f" {line}" for line in before[start:end])
                continue
            yield from (f"-{line}" for line in before[start:end])
            yield from (f"+{line}" for line in after[other_start:other_end])


def _range(start: int, end: int) -> str:
    """As diff counts: from one, and an empty range from the line before it."""
    return f"{start + (end > start)},{end - start}"
