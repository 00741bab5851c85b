"""A group of commands of which each costs its imports only when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows the names of its `lazy` commands, each as `module:attribute`, and imports one when it is asked for."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        _show_environment(command)
        return command


def _show_environment(command: click.Command) -> None:
    """Have the help tell the environment variable of each option that has one."""
    for option in command.params:
        if isinstance(option, click.Option):
            option.show_envvar = True
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _show_environment(below)
