"""The environment variable of each option."""

from collections.abc import Sequence

import click


def name_variables(command: click.Command, path: Sequence[str]) -> None:
    """Give every option of a command one, `K0RDENTD_LOAD_JOBS` say, unless it has one; help tells it.

    `path` are the words that lead to the command.
    """
    for option in command.params:
        if isinstance(option, click.Option):
            option.envvar = option.envvar or _variable(path, option)
            option.show_envvar = True


def _variable(path: Sequence[str], option: click.Option) -> str:
    name = next(each for each in option.opts if each.startswith("--"))
    return "_".join(("k0rdentd", *path, name.removeprefix("--"))).replace("-", "_").upper()
