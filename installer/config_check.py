"""Everything that is wrong with a configuration file, at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import click
from pydantic import BaseModel

from installer.config import SECTIONS, ConfigurationInvalid, camel, option_defaults, read_config
from installer.settings import Settings
from installer.settings_base import Remark
from installer.settings_file import SettingsInvalid, parse_settings
from registry.config import SettingInvalid, TlsSettings

# The command that a section is for; None where there is none.
Commands = Callable[[str], click.Command | None]
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Verdict:
    """What makes a file unusable, and what an operator should know of it all the same."""

    errors: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


def check_file(path: Path, commands: Commands) -> Verdict:
    """Look at every section of the file; nothing is raised for what is found."""
    try:
        sections = read_config(path, required=True)
    except ConfigurationInvalid as error:
        return Verdict((Remark("", " ".join(str(error).split())),))
    errors = [*_unknown_sections(sections, commands), *_wrong_options(sections, commands)]
    try:
        loaded = parse_settings(sections, path)
    except SettingsInvalid as error:
        return Verdict((*errors, *error.problems))
    settings = loaded.settings
    return Verdict(tuple(errors), (*loaded.remarks, *_missing_files("", settings), *_open_secrets(path, settings)))


def _unknown_sections(sections: Mapping[str, object], commands: Commands) -> Iterator[Remark]:
    known = {*SECTIONS, "registry", "load"}
    for name in sections:
        if name not in known and commands(name) is None:
            near = get_close_matches(name, known, n=1)
            yield Remark(name, "unknown section", f"did you mean {near[0]}?" if near else "")


def _wrong_options(sections: Mapping[str, object], commands: Commands) -> Iterator[Remark]:
    for name, section in sections.items():
        command = None if name in SECTIONS else commands(name)
        if command is None or section is None:
            continue
        if not isinstance(section, Mapping):
            yield Remark(name, "must be a mapping of options")
            continue
        found: dict[str, object] = {}
        for key, value in section.items():
            yield from _convert(click.Context(command, info_name=name), str(key), value, found)
        if name == "registry":
            yield from _contradictions(found)


def _convert(context: click.Context, key: str, value: object, found: dict[str, object]) -> Iterator[Remark]:
    """Add what the option is to `found`, or tell why it is not."""
    path = f"{context.info_name}.{key}"
    try:
        said = option_defaults({key: value}, str(context.info_name), context.command, Path())
        for option in context.command.params:
            if option.name in said:
                found[option.name] = option.type_cast_value(context, said[option.name])
    except ConfigurationInvalid as error:
        known = [camel(option.name or "") for option in context.command.params if isinstance(option, click.Option)]
        if key in known:
            yield Remark(path, str(error).partition(f"{path}: ")[2])
            return
        near = get_close_matches(key, known, n=1)
        yield Remark(path, "unknown key", f"did you mean {near[0]}?" if near else "")
    except click.BadParameter as error:
        yield Remark(path, error.message)


def _contradictions(found: Mapping[str, object]) -> Iterator[Remark]:
    parts = {name.removeprefix("tls_"): found[name] for name in found if name.startswith("tls_")}
    plain = str(found["plain_http"]) if "plain_http" in found else None
    try:
        TlsSettings.choose(str(found.get("tls", "auto")), plain, sans=parts.pop("san", ()), **parts)
    except SettingInvalid as error:
        yield Remark("registry.tls", str(error))


def _missing_files(path: str, section: BaseModel) -> Iterator[Remark]:
    """Files that are named and are not here: the settings may be for another machine."""
    for name, field in type(section).model_fields.items():
        here = f"{path}.{field.alias or name}".removeprefix(".")
        value = getattr(section, name)
        for place, each in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(each, BaseModel):
                yield from _missing_files(f"{here}[{place}]" if isinstance(value, tuple) else here, each)
            elif isinstance(each, Path) and not each.exists():
                yield Remark(here, f"there is no {each} on this machine")


def _open_secrets(path: Path, settings: Settings) -> Iterator[Remark]:
    if "**********" in settings.model_dump_json() and path.stat().st_mode & _OTHERS:
        yield Remark("", f"{path} holds secrets, and others may read it", f"chmod 0600 {path}, or name files of them")
