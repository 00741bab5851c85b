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
        ConfigurationInvalid: it cannot be read, is not YAML, or is no mapping of sections.
    """
    if not required and not path.exists():
        return {}
    from installer import strict_yaml  # noqa: PLC0415  # 10 ms, which a command without a file need not wait for

    try:
        document = strict_yaml.load(path.read_bytes()) or {}
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read the configuration file {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationInvalid(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationInvalid(f"{path} must hold sections such as 'registry:'")
    return {str(key): value for key, value in document.items()}


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
        ConfigurationInvalid: it is no mapping, or names what the command does not have.
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
        option = options[key]
        several = option.multiple and not isinstance(value, list)
        said_off = value is False and isinstance(option.type, click.Choice)  # YAML reads a bare `off` so
        defaults[option.name or ""] = [value] if several else "off" if said_off else value
    return defaults


def camel(name: str) -> str:
    """`bundle_path` to `bundlePath`."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
