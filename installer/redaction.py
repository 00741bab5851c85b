"""Takes secrets out of what is shown or handed on."""

import re
from collections.abc import Mapping, Sequence

MASK = "**********"

# Keys whose values are secrets; names of Kubernetes secrets and paths of files are none.
_SECRET_KEY = re.compile(
    r"pass(?:word|wd|phrase)|secret|token|credential(?!s)|private.?key|api.?key|access.?key|auth$|dsn|data.?source",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"(?:file|path|name|ref|(?:creds|cert|pull)secret|secrets|dir|url|expiry|ttl|policy)$", re.IGNORECASE
)


def is_secret_key(key: str) -> bool:
    """Whether what stands under that key is to be masked."""
    return bool(_SECRET_KEY.search(key)) and not _NO_SECRET.search(key)


def masked(document: object) -> object:
    """The document with every text below a secret's key masked."""
    if isinstance(document, Mapping):
        return {key: _hidden(value) if is_secret_key(str(key)) else masked(value) for key, value in document.items()}
    if isinstance(document, Sequence) and not isinstance(document, str | bytes):
        return [masked(each) for each in document]
    return document


def _hidden(value: object) -> object:
    """Numbers, truth values and what is empty tell nothing; mappings keep their keys."""
    if isinstance(value, Mapping):
        return {key: _hidden(below) for key, below in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_hidden(each) for each in value]
    return MASK if value and not isinstance(value, bool) else value
