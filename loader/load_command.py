"""How the command line of `k0rdentd load` is read: with `--to` it is that of `k0rdentd bundle push`."""

from typing import Any, NamedTuple

import click

from registry.path_name import NewFile

report_option = click.option("--report", type=NewFile(), help="Write the outcome of every image here, as JSON.")


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
