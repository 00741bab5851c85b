"""`k0rdentd config`."""

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import click
import yaml

from installer.config import camel, option_defaults, read_config
from installer.config_check import Verdict, check_file
from installer.options import load_here
from installer.redaction import masked
from installer.schema import config_schema
from installer.settings_base import Remark
from registry.lazy_group import LazyGroup
from registry.path_name import PathName

# Sections that hold options of the command of their name.
_COMMAND_SECTIONS = ("registry", "load")
_INVALID = 2


@click.group(cls=LazyGroup)
def config() -> None:
    """Show and check the configuration file."""


@config.command("default")
def default() -> None:
    """Print a configuration file in which every setting is explained, and none is changed."""
    click.echo(files("installer").joinpath("templates", "k0rdentd.yaml").read_text(), nl=False)


@config.command()
@click.pass_context
def schema(context: click.Context) -> None:
    """Print a JSON schema of the configuration file."""
    found = {name: _command(context, name) for name in _COMMAND_SECTIONS}
    click.echo(json.dumps(config_schema({name: each for name, each in found.items() if each}), indent=2))


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document in place of YAML.")
@click.pass_context
def view(context: click.Context, as_json: bool) -> None:  # noqa: FBT001
    """Print the settings in force: defaults, under the file, under the environment; secrets are masked."""
    loaded = load_here(context)
    shown = loaded.settings.model_dump(mode="json", by_alias=True, exclude_none=True)
    path = context.find_root().params["config_file"]
    others = read_config(path, required=False)
    for name in _COMMAND_SECTIONS:
        command = _command(context, name)
        if command is not None:
            shown[name] = _in_force(command, name, others.get(name), path)
    document = masked(shown)
    click.echo(json.dumps(document, indent=2) if as_json else yaml.safe_dump(document, sort_keys=False), nl=as_json)
    _show(loaded.remarks, "warning")


@config.command()
@click.argument("file", type=PathName(dir_okay=False), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document in place of lines.")
@click.pass_context
def validate(context: click.Context, file: Path | None, as_json: bool) -> int:  # noqa: FBT001
    """Tell everything that is wrong with FILE (default: the one in use); exit with 2 if it cannot be used."""
    path = file or context.find_root().params["config_file"]
    verdict = check_file(path, lambda name: _command(context, name))
    if as_json:
        click.echo(json.dumps(_document(path, verdict)))
    else:
        _show(verdict.errors, "error")
        _show(verdict.warnings, "warning")
        click.echo(f"{path} {'cannot be used' if verdict.errors else 'is valid'}")
    return _INVALID if verdict.errors else 0


def _command(context: click.Context, name: str) -> click.Command | None:
    group = context.find_root().command
    assert isinstance(group, click.Group)
    return group.get_command(context, name)


def _in_force(command: click.Command, name: str, section: object, path: Path) -> dict[str, object]:
    """The command's options as they would be now, without its arguments; what is not set is left out."""
    given = ["-" for each in command.params if isinstance(each, click.Argument)]
    context = command.make_context(name, given, default_map=option_defaults(section, name, command, path))
    options = [each.name or "" for each in command.params if isinstance(each, click.Option)]
    found = {camel(each): _plain(context.params[each]) for each in options}
    return {key: value for key, value in found.items() if value not in (None, [])}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, int | None) else str(value)


def _show(remarks: tuple[Remark, ...], kind: str) -> None:
    for each in remarks:
        click.echo(f"{kind}: {each}", err=True)


def _document(path: Path, verdict: Verdict) -> dict[str, object]:
    return {
        "file": str(path),
        "valid": not verdict.errors,
        "errors": [asdict(each) for each in verdict.errors],
        "warnings": [asdict(each) for each in verdict.warnings],
    }
