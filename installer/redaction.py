"""Takes secrets out of what is shown or handed on.

`masked` works on documents, by the names of their keys, and cleans their texts. `Redactor` works on any text, in three
passes, and keeps the number of its lines:

known      secrets of the settings, wherever they stand, also as base64
shaped     what looks like one: private keys, tokens, hashes of passwords, URLs with a password
named      what stands beside a key, an option or a variable that is called like one
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from installer.flow import secret_values

MASK = "**********"

# Keys whose values are secrets; names of Kubernetes secrets and paths of files are none.
_WORDS = (
    r"pass(?:word|wd|phrase)|secret|token|credential(?!s)|private[_-]?key|api[_-]?key|access[_-]?key"
    r"|auth\b|dsn|data[_-]?source(?!c)|client[_-]?key[_-]?data|connection[_-]?string|dockerconfigjson"
    r"|(?<![a-z])(?:pass|pwd?)(?![a-z])|(?-i:(?<=[a-z0-9])(?:Pass|P[Ww][Dd]?)(?![A-Za-z]))"
)
_SECRET_KEY = re.compile(_WORDS, re.IGNORECASE)
_NO_SECRET = re.compile(
    r"(?:file|path|name|ref|(?:creds|cert|pull)secret|secrets|dir|url|expiry|ttl|policy)$", re.IGNORECASE
)
_SHAPES = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"(?i:\b(basic|bearer)) +[A-Za-z0-9._~+/=-]{8,}", rf"\1 {MASK}"),
        (r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", MASK),  # a JSON Web Token
        (r"\bH4sI[A-Za-z0-9+/=]{40,}", MASK),  # gzip in base64: k0s' tokens
        (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", MASK),  # Kubernetes' bootstrap tokens
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
        (r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}", MASK),
        (r"(://[^/\s:@]*:)[^/\s\"']+@", rf"\1{MASK}@"),
    )
)
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)([^\"']*?)(?=-----END [A-Z ]*PRIVATE KEY-----|[\"']|\Z)")
_PEM_WORD = re.compile(r"(\\[rn])|(?:(?!\\[rn])\S)+")  # or a line break of JSON
# A line of YAML, JSON, or of a file of settings.
_LINE = re.compile(r"""^(?P<head>[ \t]*(?:-[ ]+)*)(?P<key>["']?[\w.-]+["']?)(?P<between>[ ]*[:=][ ]*)(?P<value>.*)$""")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*')(,?)""")
# Further on in a line: `token=x`, `"token": "x"`; a comma ends a value only where another name follows. A key is tried
# from its beginning alone: else a word of 20 KB, such as a certificate, takes half a minute.
_NAMED = re.compile(
    rf"""(?<![\w.-])(?=[\w.-]*?(?:{_WORDS}))(?P<key>[\w.-]++)(?P<between>\\*["']?\s*[:=]\s*)"""
    r"""(?P<value>"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\\+"[^"\\\n]*\\+"|(?:[^\s;&}\]"',]|,(?!\s|\w+["']?\s*[:=]))+)""",
    re.IGNORECASE,
)
_OPTION = re.compile(r"""(?<![\w-])(?P<key>--[\w-]++)(?P<between>\s+)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s"'-]\S*)""")
_HARMLESS = frozenset({"", "true", "false", "null", "{", "[", "{}", "[]", "{},", "[],", MASK})
_WORDS_OF_A_LINE = re.compile(r"\S[^\r\n]*")  # lines stay lines
_SHORTEST = 4  # what is shorter stands everywhere


def is_secret_key(key: str) -> bool:
    """Whether what stands under that key is to be masked."""
    return bool(_SECRET_KEY.search(key)) and not _NO_SECRET.search(key)


def masked(document: object) -> object:
    """The document with every text below a secret's key masked."""
    if isinstance(document, Mapping):
        variable = is_secret_key(str(document.get("name", "")))
        return {
            key: _hidden(value) if is_secret_key(str(key)) or (variable and key == "value") else masked(value)
            for key, value in document.items()
        }
    if isinstance(document, Sequence) and not isinstance(document, str | bytes):
        return [masked(each) for each in document]
    return Redactor().clean(document) if isinstance(document, str) else document


def _hidden(value: object) -> object:
    """Truth values and what is empty tell nothing; mappings keep their keys."""
    if isinstance(value, Mapping):
        return {key: _hidden(below) for key, below in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_hidden(each) for each in value]
    return MASK if value and not isinstance(value, bool) else value


class Redactor:
    """Cleans text of `secrets`, and of what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {each.strip() for each in secrets if len(each.strip()) >= _SHORTEST}
        known |= {b64encode(each.encode()).decode().rstrip("=") for each in known}
        self._known = sorted(known, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text without secrets; all else stays as it is."""
        for secret in self._known:
            text = text.replace(secret, MASK)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        text = _PEM.sub(lambda match: match[1] + _PEM_WORD.sub(_without_word, match[2]), text)
        return "".join(_without_blocks(_without_variables(text).splitlines(keepends=True)))


def _without_variables(text: str) -> str:
    """The text without the values of mappings in flow style whose name is that of a secret."""
    parts, behind = [], 0
    for value in secret_values(text, is_secret_key):
        said = text[value.begin : value.end]
        if said not in _HARMLESS:
            quote = value.quote if value.is_plain else ""
            parts += [text[behind : value.begin], quote, _WORDS_OF_A_LINE.sub(MASK, said), quote]
            behind = value.end
    return "".join([*parts, text[behind:]])


def _without_blocks(lines: Sequence[str]) -> Iterator[str]:
    """Each line with its secrets masked, and none of those that stand below a secret's key."""
    hiding: int | None = None
    values = _secret_values(lines)
    for number, line in enumerate(lines):
        text = line.rstrip("\r\n")
        depth = len(text) - len(text.lstrip(" "))
        listed = hiding is not None and depth >= hiding and text.lstrip().startswith("- ")
        if hiding is not None and (depth > hiding or listed or not text.strip()):
            yield (" " * max(depth, hiding + 1) + MASK if text.strip() else text) + line[len(text) :]
            continue
        match = _LINE.match(text)
        secret = match is not None and (is_secret_key(_bare(match["key"])) or number in values)
        hiding = len(match["head"]) if match is not None and secret else None
        yield (_masked_line(match) if match is not None and secret else _masked_parts(text)) + line[len(text) :]


@dataclass(slots=True)
class _Mapping:
    """One of lines, whose keys stand in the same column: is it called like a secret, and where are its values?"""

    column: int
    is_secret: bool = False
    values: set[int] = field(default_factory=set)


def _secret_values(lines: Iterable[str]) -> set[int]:
    """The lines that say the value of a variable whose name, before it or behind it, is that of a secret."""
    found: set[int] = set()
    above: list[_Mapping] = []
    for number, line in enumerate(lines):
        text = line.rstrip()
        depth = len(text) - len(text.lstrip(" "))
        while text and above and above[-1].column > depth:
            above.pop()
        match = _LINE.match(text)
        if match is None:
            continue
        column, key = len(match["head"]), _bare(match["key"])
        if not above or above[-1].column < column:
            above.append(_Mapping(column))
        if key == "name":
            above[-1].is_secret = is_secret_key(_bare(match["value"]))
        elif key == "value":
            above[-1].values.add(number)
        if above[-1].is_secret:
            found |= above[-1].values
            above[-1].values.clear()
    return found


def _bare(text: str) -> str:
    return text.strip("\"', ")


def _masked_line(match: re.Match[str]) -> str:
    value = match["value"].strip()
    quoted = _QUOTED.fullmatch(value)
    if value in _HARMLESS:
        return match[0]
    shown = f"{value[0]}{MASK}{value[0]}{quoted[2]}" if quoted else MASK
    return f"{match['head']}{match['key']}{match['between']}{shown}"


def _masked_parts(text: str) -> str:
    return _OPTION.sub(_without_named, _NAMED.sub(_without_named, text))


def _without_word(match: re.Match[str]) -> str:
    return match[1] or MASK


def _without_named(match: re.Match[str]) -> str:
    value = match["value"]
    if not is_secret_key(match["key"]) or value.strip("\\\"'") in _HARMLESS:
        return match[0]
    quote = value[: len(value) - len(value.lstrip("\\\"'"))] if value[-1] in "\"'" else ""
    return f"{match['key']}{match['between']}{quote}{MASK}{quote}"
