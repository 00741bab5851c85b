"""YAML in which no mapping says a key twice: of two sections the first would be lost without a word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from installer.config import ConfigurationInvalid

_QUOTED = re.compile(r"'[^'<>]{2,}'")  # not the words of YAML itself, such as '<scalar>' and ':'

Pair = tuple[yaml.Node, yaml.Node]


@dataclass(frozen=True, slots=True)
class Doubled:
    """A key that is said more than once, and in which lines."""

    path: str
    lines: tuple[int, ...]

    @property
    def what(self) -> str:
        """The mistake, without its place."""
        lines = list(dict.fromkeys(self.lines))
        return f"is said more than once (line{'s' if lines[1:] else ''} {', '.join(map(str, lines))})"

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


@dataclass(frozen=True, slots=True)
class Reading:
    """The sections of a file, in each of the ways that doubled keys leave open; in one, if there are none."""

    ways: tuple[dict[str, object], ...]
    doubled: tuple[Doubled, ...]


def read(path: Path) -> Reading:
    """The file's sections.

    Raises:
        ConfigurationInvalid: it cannot be read, is not YAML, or is no mapping of sections.
    """
    try:
        documents, doubled = _load(path.read_bytes())
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read the configuration file {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationInvalid(f"{path} is not YAML: {_told(error)}") from error
    known = [each or {} for each in documents]
    ways = [{str(key): value for key, value in each.items()} for each in known if isinstance(each, dict)]
    if len(ways) < len(known):
        raise ConfigurationInvalid(f"{path} must hold sections such as 'registry:'")
    return Reading(tuple(ways), doubled)


def _load(text: bytes) -> tuple[list[object], tuple[Doubled, ...]]:
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return [None], ()
        doubled = tuple(_doubled(root, "", ()))
        ways = max((len(each.lines) for each in doubled), default=1)
        return [loader.construct_document(_way(root, number)) for number in range(ways)], doubled
    finally:
        loader.dispose()


def _told(error: Exception) -> str:
    """What is wrong and where, without what stands there: it may be a secret that has to be put into quotes."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        place = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        what = _QUOTED.sub("'…'", " ".join(filter(None, (error.context, error.problem))))
        return f"{what} in {place}"
    if isinstance(error, yaml.reader.ReaderError):
        return " ".join(str(error).split())
    return "it is nested too deeply" if isinstance(error, RecursionError) else "a date or number in it cannot be one"


def _doubled(node: yaml.Node, path: str, above: tuple[yaml.Node, ...]) -> Iterator[Doubled]:
    if node in above:
        raise yaml.constructor.ConstructorError(None, None, "it holds itself", node.start_mark)
    if isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            yield from _doubled(each, f"{path}[{number}]", (*above, node))
    for key, pairs in _by_key(node):
        place = f"{path}.{key}".removeprefix(".")
        if len(pairs) > 1:
            yield Doubled(place, tuple(said.start_mark.line + 1 for said, _ in pairs))
        for _, value in pairs:
            yield from _doubled(value, place, (*above, node))


def _way(node: yaml.Node, number: int) -> yaml.Node:
    """The same with each key once: sections are put together, and of values it is the one of that number."""
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_way(each, number) for each in node.value], node.start_mark)
    if not isinstance(node, yaml.MappingNode):
        return node
    others = [(key, _way(value, number)) for key, value in node.value if not isinstance(key, yaml.ScalarNode)]
    said = [(pairs[0][0], _way(_one([value for _, value in pairs], number), number)) for _, pairs in _by_key(node)]
    return yaml.MappingNode(node.tag, [*said, *others], node.start_mark)


def _one(values: list[yaml.Node], number: int) -> yaml.Node:
    if len(values) > 1 and all(isinstance(each, yaml.MappingNode) for each in values):
        return yaml.MappingNode(values[0].tag, [pair for each in values for pair in each.value], values[0].start_mark)
    return values[min(number, len(values) - 1)]


def _by_key(node: yaml.Node) -> Iterator[tuple[str, list[Pair]]]:
    """The pairs of a mapping by what their keys say, in the order in which these are said first."""
    found: dict[str, list[Pair]] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            found.setdefault(key.value, []).append((key, value))
    yield from found.items()
