"""Everything that is wrong with a configuration file, at once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import click

from installer import strict_yaml
from installer.config import SECTIONS, ConfigurationInvalid, camel, option_defaults
from installer.redaction import is_secret_key, masked
from installer.settings_base import Remark
from installer.settings_file import SettingsInvalid, parse_settings
from registry.config import SettingInvalid, TlsSettings
from registry.verification import is_url

# The command that a section is for; None where there is none.
Commands = Callable[[str], click.Command | None]
_OTHERS = 0o077
# Keys of files and folders that are read, beside those that end in `File`; and those looked for beside our own file.
_READ = frozenset(
    {"bundlePath", "cosignKey", "cosignSignature", "files", "htpasswd", "tlsCert", "tlsClientCa", "tlsKey"}
)
_ANCHORED = frozenset({"caFile", "tokenFile"})
_FREE = "values"  # of a chart, whose keys mean what they like


@dataclass(frozen=True, slots=True)
class Verdict:
    """What makes a file unusable, and what an operator should know of it all the same."""

    errors: tuple[Remark, ...] = ()
    warnings: tuple[Remark, ...] = ()


def check_file(path: Path, commands: Commands) -> Verdict:
    """Look at every section of the file; nothing is raised for what is found."""
    try:
        reading = strict_yaml.read(path)
    except ConfigurationInvalid as error:
        return Verdict((Remark("", " ".join(str(error).split())),))
    found = [_check(path, sections, commands) for sections in reading.ways]
    doubled = [Remark(each.path, each.what) for each in reading.doubled]
    errors = dict.fromkeys([*doubled, *(each for verdict in found for each in verdict.errors)])
    return Verdict(tuple(errors), tuple(dict.fromkeys(each for verdict in found for each in verdict.warnings)))


def _check(path: Path, sections: Mapping[str, object], commands: Commands) -> Verdict:
    errors = [*_unknown_sections(sections, commands), *_wrong_options(sections, commands)]
    remarks: tuple[Remark, ...]
    try:
        remarks = parse_settings(sections, path).remarks
    except SettingsInvalid as error:
        errors, remarks = [*errors, *error.problems], error.remarks
    files = (remark for name, section in sections.items() for remark in _files(path.absolute().parent, name, section))
    return Verdict(tuple(errors), (*remarks, *files, *_open_secrets(path, sections)))


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
    if "htpasswd" not in found and "authenticated" in (found.get("push"), found.get("pull")):
        yield Remark("registry.htpasswd", "'authenticated' needs users", "name a file of them")
    parts = {name.removeprefix("tls_"): found[name] for name in found if name.startswith("tls_")}
    plain = str(found["plain_http"]) if "plain_http" in found else None
    try:
        TlsSettings.choose(str(found.get("tls", "auto")), plain, sans=parts.pop("san", ()), **parts)
    except SettingInvalid as error:
        yield Remark("registry.tls", str(error))


def _files(folder: Path, place: str, value: object) -> Iterator[Remark]:
    """Files that are named and are not here (the settings may be for another machine), or that others may read."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _files(folder, f"{place}[{number}]", each)
    for key, below in value.items() if isinstance(value, Mapping) else ():
        if key == _FREE:
            continue
        if _is_file(str(key)) and isinstance(below, str) and below and not is_url(below):
            yield from _file(f"{place}.{key}", folder / below if key in _ANCHORED else Path(below), str(key))
        yield from _files(folder, f"{place}.{key}", below)


def _is_file(key: str) -> bool:
    return key in _READ or (key.endswith("File") and key != "pidFile")


def _file(place: str, path: Path, key: str) -> Iterator[Remark]:
    if not path.exists():
        yield Remark(place, f"there is no {path} on this machine")
    elif (key == "tlsKey" or is_secret_key(key.removesuffix("File"))) and path.stat().st_mode & _OTHERS:
        yield Remark(place, f"{path} is a secret, and others may read it", f"chmod 0600 {path}")


def _open_secrets(path: Path, sections: Mapping[str, object]) -> Iterator[Remark]:
    if masked(sections) != sections and path.stat().st_mode & _OTHERS:
        yield Remark("", f"{path} holds secrets, and others may read it", f"chmod 0600 {path}, or name files of them")
