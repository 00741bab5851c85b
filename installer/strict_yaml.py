"""YAML in which no mapping says a key twice: of two sections the first would be lost without a word."""

from collections.abc import Hashable

import yaml


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is said twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(text: bytes) -> object:
    """The document.

    Raises:
        ValueError: it is not YAML, and where.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(error) from error
