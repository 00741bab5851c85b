"""A JSON schema of the configuration file, for editors and for automation."""

from collections.abc import Mapping

import click

from installer.config import camel
from installer.settings import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema(commands: Mapping[str, click.Command]) -> dict[str, object]:
    """Of the installer's own sections, and of those that hold options of a command."""
    schema = Settings.model_json_schema(by_alias=True)
    sections = {name: _command_schema(command) for name, command in commands.items()}
    return {"$schema": _DIALECT, **schema, "properties": {**schema["properties"], **sections}}


def _command_schema(command: click.Command) -> dict[str, object]:
    options = [each for each in command.params if isinstance(each, click.Option)]
    properties = {camel(each.name or ""): _option_schema(each) for each in options}
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _option_schema(option: click.Option) -> dict[str, object]:
    one = _type_schema(option.type)
    shape: dict[str, object] = {"anyOf": [one, {"type": "array", "items": one}]} if option.multiple else one
    return {**shape, "description": option.help} if option.help else shape


def _type_schema(kind: object) -> dict[str, object]:
    if isinstance(kind, click.IntRange):
        limits = {"minimum": kind.min, "maximum": kind.max}
        return {"type": "integer", **{name: limit for name, limit in limits.items() if limit is not None}}
    if isinstance(kind, click.Choice):
        return {"enum": [False if each == "off" else each for each in kind.choices] + ["off"] * ("off" in kind.choices)}
    return {"type": "boolean"} if kind is click.BOOL else {"type": "string"}
