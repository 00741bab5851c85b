"""A group of commands of which each costs its imports only when it is asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from registry.variables import name_variables

_WHOLE = 1000


class LazyGroup(click.Group):
    """Knows the names of its `lazy` commands, each as `module:attribute`, and imports one when it is asked for."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy or {}
        self.path: tuple[str, ...] = ()
        """The words that lead here, which the root of all commands gives to those below it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        _name_variables(command, (*self.path, cmd_name))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A mistyped name is told with those that are like it, which click looks for among what is imported."""
        if not (ctx.resilient_parsing or args[0].startswith("-")) and self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches  # noqa: PLC0415  # 2 ms of every start

            close = " or ".join(map(repr, get_close_matches(args[0], self.list_commands(ctx))))
            ctx.fail(f"No such command {args[0]!r}.{f' Did you mean {close}?' if close else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All that a command says of itself in one sentence; click would cut it to what is left of a line."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=_WHOLE)) for name, each in found if each])


def _name_variables(command: click.Command, path: tuple[str, ...]) -> None:
    name_variables(command, path)
    if isinstance(command, LazyGroup):
        command.path = path
    for name, below in command.commands.items() if isinstance(command, click.Group) else ():
        _name_variables(below, (*path, name))
