"""How the command line of `k0rdentd load` is read: with `--to` it is that of `k0rdentd bundle push`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import click

from loader.selection import Selection, is_platform
from registry.oci.errors import NameInvalid
from registry.oci.reference import RepositoryName
from registry.path_name import NewFile

report_option = click.option("--report", type=NewFile(), help="Write the outcome of every image here, as JSON.")


def _platforms(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not is_platform(value):
            raise click.BadParameter(f"{value!r} is not of the form linux/amd64 or linux/arm/v7")
    return tuple(sorted(set(values)))


def _prefix(_: click.Context, __: click.Parameter, value: str) -> str:
    """Before all of a bundle is read, of which no image could be named."""
    try:
        return str(RepositoryName.parse(value.strip("/"))) if value else value
    except NameInvalid as error:
        raise click.BadParameter(f"{value!r} cannot begin the name of a repository, such as site/mirror") from error


_SELECTION_OPTIONS = (
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Load only what matches, as repository:tag; a --prefix is part of it.",
    ),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches, as repository:tag."),
    click.option("--prefix", default="", callback=_prefix, metavar="PATH", help="Put in front of every repository."),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        callback=_platforms,
        metavar="OS/ARCH[/VARIANT]",
        help="Of images for several platforms load only this one; may repeat.  [default: all]",
    ),
)


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--include` to `--platform`, for a command that takes a `selection`."""

    @wraps(command)
    def wrapped(
        *, include: tuple[str, ...], exclude: tuple[str, ...], prefix: str, platforms: tuple[str, ...], **rest: object
    ) -> object:
        return command(selection=Selection(include, exclude, prefix, platforms), **rest)

    for option in reversed(_SELECTION_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


class LoadCommand(click.Command):
    """`k0rdentd load`, which with `--to` is `bundle push`, and takes the options of that."""

    _to = click.Option(
        ["--to"],
        expose_value=False,
        metavar="REGISTRY",
        help="Push to this registry, not into a store; the options are those of 'bundle push' then.",
    )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), self._to]

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        registry = _value_of("--to", args)
        if registry is None:
            return super().make_context(info_name, args, parent, **extra)
        from loader.push_cli import push  # noqa: PLC0415  # what speaks to registries costs a load 0.2 s

        return push.make_context(f"{info_name} --to", [*registry.others, registry.value], parent, **extra)


class _Given(NamedTuple):
    value: str
    others: list[str]


def _value_of(option: str, args: list[str]) -> _Given | None:
    """What a command line gives an option, and the rest of it."""
    for place, each in enumerate(args):
        if each == option and place + 1 < len(args):
            return _Given(args[place + 1], [*args[:place], *args[place + 2 :]])
        if each.startswith(f"{option}="):
            return _Given(each.partition("=")[2], [*args[:place], *args[place + 1 :]])
    return None
