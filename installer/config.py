"""The configuration file: YAML, one section a command, options in camelCase."""

import re
from pathlib import Path
from typing import ClassVar

import click

from registry.oci.errors import Failure

DEFAULT_CONFIG_FILE = Path("/etc/k0rdentd/k0rdentd.yaml")

# What the installer reads for itself; the other sections are named like commands.
SECTIONS = frozenset({"k0s", "k0rdent", "airgap", "join", "credentials", "debug", "logLevel", "logFormat"})


class ConfigurationInvalid(Failure):
    """The configuration file cannot be used as it is."""

    exit_code: ClassVar[int] = 2


def read_config(path: Path, *, required: bool) -> dict[str, object]:
    """The sections of the file; none if there is no file and none is required.

    Raises:
        ConfigurationInvalid: it cannot be read, is not YAML, is no mapping of sections, or says a key twice.
    """
    if not required and not path.exists():
        return {}
    from installer import strict_yaml  # noqa: PLC0415  # 10 ms, which a command without a file need not wait for

    reading = strict_yaml.read(path)
    if reading.doubled:
        raise ConfigurationInvalid(f"{path}: {'; '.join(map(str, reading.doubled))}")
    return reading.ways[0]


def refuse_unknown_sections(sections: dict[str, object], commands: frozenset[str], path: Path) -> None:
    """Catch a misspelt section.

    Raises:
        ConfigurationInvalid: one is neither the installer's nor a command's.
    """
    known = commands | SECTIONS
    for section in sections:
        if section not in known:
            raise ConfigurationInvalid(f"{path}: unknown section {section!r}; known are {', '.join(sorted(known))}")


def option_defaults(section: object, name: str, command: click.Command, path: Path) -> dict[str, object]:
    """A section as defaults for the options of its command.

    Raises:
        ConfigurationInvalid: it is no mapping, names what the command does not have, or has a value that cannot be.
    """
    if section is None:  # every line of it commented out
        return {}
    if not isinstance(section, dict):
        raise ConfigurationInvalid(f"{path}: {name} must be a mapping of options")
    options = {camel(option.name or ""): option for option in command.params if isinstance(option, click.Option)}
    defaults: dict[str, object] = {}
    for key, value in section.items():
        if key not in options:
            raise ConfigurationInvalid(f"{path}: unknown key {name}.{key}; known are {', '.join(sorted(options))}")
        if value is not None:  # its value commented out
            defaults[options[key].name or ""] = _value(
                options[key], value, click.Context(command), f"{path}: {name}.{key}"
            )
    return defaults


def _value(option: click.Option, value: object, context: click.Context, where: str) -> object:
    """What the option takes for its default; a value that it would refuse is refused here, where its place is known."""
    said = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(each, list | dict) for each in said):
        raise ConfigurationInvalid(f"{where}: it takes {'values' if option.multiple else 'one value'}, not {value!r}")
    if isinstance(option.type, click.Path) and not all(isinstance(each, str) for each in said):
        raise ConfigurationInvalid(f"{where}: {value!r} is no path: put it in quotes if it is one")
    if isinstance(option.type, click.types.IntParamType) and not all(_is_whole(each) for each in said):
        raise ConfigurationInvalid(f"{where}: {value!r} is no whole number")
    if value is False and isinstance(option.type, click.Choice):  # YAML reads a bare `off` so
        said = ["off"]
    found = said if option.multiple else said[0]
    try:
        option.type_cast_value(context, found)
    except click.BadParameter as error:
        raise ConfigurationInvalid(f"{where}: {error.message}") from error
    return found


def _is_whole(value: object) -> bool:
    return re.fullmatch(r"-?\d+", str(value)) is not None


def camel(name: str) -> str:
    """`bundle_path` to `bundlePath`."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
