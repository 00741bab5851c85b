"""The values of variables in flow style: `{"name": "DB_PASSWORD", …, "value": "…"}` in JSON, JSON as text, or YAML.

    text → passages → tokens → mappings, each with its name and where its values stand

Logs cut lines and put words around them, so nothing has to be whole: what is outside of all braces of a line counts as
a mapping too. It is one pass, whatever the text holds, and however many keys stand between a name and its value.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r"""(?P<slashes>\\*)(?P<quote>["'])|(?P<mark>[{}\[\],:])|[^\s{}\[\],:"'\\]+|\\+""")
_CONTINUES = frozenset("\"'{}[],")
_BEHIND_A_KEY = " \t\r\n\"'\\{[,}]"


@dataclass(frozen=True, slots=True)
class Scalar:
    """Where one stands, without the marks that it is quoted by; a plain one has those of its key to be quoted with."""

    begin: int
    end: int
    quote: str = ""
    is_plain: bool = True


@dataclass(slots=True)
class _Mapping:
    """One that is open."""

    before: int
    """So many scalars were complete when its present entry began."""
    key: str = ""
    quote: str = ""
    """Of its keys."""
    last: Scalar | None = None
    is_secret: bool = False
    values: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _String:
    """One that is open: where it begins, and how much there was then."""

    begin: int
    depth: int
    scalars: int
    hidden: int


def secret_values(text: str, is_secret: Callable[[str], bool]) -> Iterator[Scalar]:
    """The values of all mappings whose name is that of a secret, in their order; none overlap."""
    for passage in _passages(text, is_secret):
        behind = 0
        for scalar in sorted(passage.found(), key=lambda each: (each.begin, -each.end)):
            if scalar.begin >= behind:
                yield scalar
                behind = scalar.end


def _passages(text: str, is_secret: Callable[[str], bool]) -> Iterator["_Passage"]:
    """Each line that may hold a mapping, with the lines over which it goes on."""
    passage, begin = None, 0
    for line in text.splitlines(keepends=True):
        if passage is not None and not passage.goes_on(line):
            yield passage
            passage = None
        if passage is None and ("{" in line or "[" in line or ("name" in line and "value" in line)):
            passage = _Passage(text, _indentation(line), is_secret)
        if passage is not None:
            passage.read(begin, begin + len(line))
        begin += len(line)
    if passage is not None:
        yield passage


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


class _Passage:
    """What is known of a passage, token by token."""

    def __init__(self, text: str, indentation: int, is_secret: Callable[[str], bool]) -> None:
        self._text, self._indentation, self._is_secret = text, indentation, is_secret
        self._open = [_Mapping(0)]
        self._strings: dict[str, _String] = {}
        """By their quotes, the innermost last."""
        self._scalars: list[Scalar] = []
        self._hidden: list[tuple[int, int]] = []
        self._doubled = -1
        self._expects_string = True

    def goes_on(self, line: str) -> bool:
        """Whether a brace is open, and the line looks like what stands in it."""
        if len(self._open) - len(self._strings) == 1:
            return False
        return _indentation(line) > self._indentation or line[:1] in _CONTINUES

    def read(self, begin: int, end: int) -> None:
        """The next line."""
        for token in _TOKEN.finditer(self._text, begin, end):
            if token["quote"]:
                self._quote(token)
            elif token["mark"]:
                self._mark(token)
            else:
                self._extend(token)
                self._expects_string = not token[0][-1].isalnum()

    def found(self) -> Iterator[Scalar]:
        """The secret values, at the end."""
        self._close(0)
        done = 0
        for begin, end in sorted(self._hidden):
            yield from self._scalars[max(begin, done) : end]
            done = max(done, end)

    def _quote(self, token: re.Match[str]) -> None:
        r"""In text in text, `\\\"` is a quote of three levels, and `\\"` a backslash and a quote of the first."""
        slashes = len(token["slashes"])
        level = (slashes ^ (slashes + 1)) >> 1
        quote = "\\" * level + token["quote"]
        if token.start() == self._doubled:
            return
        if self._is_doubled(token, quote):
            self._doubled = token.end()
        elif quote in self._strings:
            self._end_string(quote, token.end() - len(quote))
        elif self._expects_string:
            here = len(self._open), len(self._scalars), len(self._hidden)
            self._strings[quote] = _String(token.end(), *here)
            self._open.append(_Mapping(len(self._scalars)))
        else:
            self._extend(token)

    def _is_doubled(self, token: re.Match[str], quote: str) -> bool:
        """Whether it is the first half of what YAML writes for an apostrophe."""
        opened = self._strings.get(quote)
        here, behind = token.start(), self._text[token.end() : token.end() + 1]
        return opened is not None and quote == behind == "'" and opened.begin < here

    def _end_string(self, quote: str, end: int) -> None:
        """Those that began in it end with it; it is one scalar, unless there was a secret value in it."""
        while quote in self._strings:
            _, ended = self._strings.popitem()
        self._close(ended.depth)
        if len(self._hidden) == ended.hidden:
            del self._scalars[ended.scalars :]
        self._open[-1].last = Scalar(ended.begin, end, quote, is_plain=False)
        self._expects_string = False

    def _mark(self, token: re.Match[str]) -> None:
        mark, here = token["mark"], self._open[-1]
        if mark == ":":
            self._colon(token, here)
        elif mark == ",":
            self._end_entry(here)
        elif mark in "{[":
            self._open.append(_Mapping(len(self._scalars), quote=here.quote))
        elif len(self._open) > self._floor:
            self._close(len(self._open) - 1)
        self._expects_string = mark not in "}]"

    @property
    def _floor(self) -> int:
        """How many mappings stay open: up to the one of the innermost string, or of the line."""
        return next(reversed(self._strings.values())).depth + 1 if self._strings else 1

    def _colon(self, token: re.Match[str], here: _Mapping) -> None:
        behind = self._text[token.end() : token.end() + 1]
        if here.last is None or (here.last.is_plain and behind not in _BEHIND_A_KEY):
            self._extend(token)  # of an address, or a time
            return
        here.key, here.quote = self._text[here.last.begin : here.last.end], here.last.quote
        here.last, here.before = None, len(self._scalars)

    def _extend(self, token: re.Match[str]) -> None:
        """One more word of a scalar; behind a string too, of which nobody knows where it ends then."""
        here = self._open[-1]
        if here.last is None:
            here.last = Scalar(token.start(), token.end(), here.quote)
        else:
            here.last = Scalar(here.last.begin, token.end(), here.last.quote, here.last.is_plain)

    def _close(self, depth: int) -> None:
        """End the innermost mappings, down to that many."""
        while len(self._open) > depth:
            ended = self._open.pop()
            self._end_entry(ended)
            if ended.is_secret:
                self._hidden += ended.values

    def _end_entry(self, mapping: _Mapping) -> None:
        last = mapping.last
        if last is not None:
            self._scalars.append(last)
            if mapping.key == "name" and self._is_secret(self._text[last.begin : last.end]):
                mapping.is_secret = True
        if mapping.key == "value":
            mapping.values.append((mapping.before, len(self._scalars)))
        mapping.key, mapping.last = "", None
