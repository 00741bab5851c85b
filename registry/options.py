"""Command-line options that several commands share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from registry.config import DEFAULT_STORAGE, PLAIN_HTTP, TLS_MODES
from registry.path_name import PathName
from registry.pki.errors import HostNameInvalid
from registry.pki.names import SubjectName, parse_name
from registry.verification import is_url

Command = TypeVar("Command", bound=Callable[..., Any])

storage_option = click.option(
    "-s",
    "--storage",
    type=PathName(),
    multiple=True,
    default=(DEFAULT_STORAGE,),
    show_default=True,
    envvar="K0RDENTD_REGISTRY_STORAGE",
    help="Storage root; repeat it to spread blobs over several (in the environment: with colons between).",
)

_FILE = PathName()

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document in place of lines.")


def given_arguments(ctx: click.Context) -> list[str]:
    """The options that were given to a command and to those above it, on the command line or in the environment.

    Files are named absolutely; what comes from the configuration file is left to it.
    """
    above = [] if ctx.parent is None else [*given_arguments(ctx.parent), ctx.info_name or ""]
    said = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
    options = [each for each in ctx.command.params if isinstance(each, click.Option)]
    given = [each for each in options if ctx.get_parameter_source(each.name or "") in said]
    return above + [word for option in given for word in _words(option, ctx.params.get(option.name or ""))]


def _words(option: click.Option, value: object) -> list[str]:
    if option.is_flag:
        names = option.opts if value else option.secondary_opts
        return names[-1:]
    values = value if isinstance(value, (list, tuple)) else (value,)
    if isinstance(option.type, _KeyPlace):
        values = [each if is_url(each) else Path(each) for each in values]
    name = next(each for each in option.opts if each.startswith("--"))
    return [f"{name}={each.absolute() if isinstance(each, Path) else each}" for each in values]


class _KeyPlace(click.types.StringParamType):
    """A file, or a URL."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return str(value if is_url(str(value)) else _FILE.convert(value, param, ctx))


class _HostName(click.ParamType[SubjectName]):
    """A DNS name or an address; several in an environment variable have commas or spaces between."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SubjectName:
        try:
            return parse_name(str(value))
        except HostNameInvalid as error:
            self.fail(str(error), param, ctx)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [part for part in re.split(r"[\s,]+", rv) if part]


_TLS_OPTIONS = (
    click.option(
        "--tls",
        type=click.Choice(TLS_MODES),
        default="auto",
        show_default=True,
        envvar="K0RDENTD_REGISTRY_TLS",
        help="A certificate of the registry's own CA, none, or yours.",
    ),
    click.option("--tls-cert", type=_FILE, envvar="K0RDENTD_REGISTRY_TLS_CERT", help="Yours, its issuers behind it."),
    click.option("--tls-key", type=_FILE, envvar="K0RDENTD_REGISTRY_TLS_KEY", help="Its key, without a passphrase."),
    click.option(
        "--tls-san",
        type=_HostName(),
        multiple=True,
        envvar="K0RDENTD_REGISTRY_TLS_SAN",
        help="One more name or address for the registry's own certificate; the machine's are in it.",
    ),
    click.option(
        "--tls-client-ca",
        type=_FILE,
        envvar="K0RDENTD_REGISTRY_TLS_CLIENT_CA",
        help="Clients must show a certificate of this CA.",
    ),
    click.option(
        "--plain-http",
        type=click.Choice(PLAIN_HTTP),
        envvar="K0RDENTD_REGISTRY_PLAIN_HTTP",
        help="From where plain HTTP is answered too.  [default: loopback, or any with --tls off]",
    ),
)


def tls_options(command: Command) -> Command:
    """`--tls` and what belongs to it."""
    for option in reversed(_TLS_OPTIONS):
        command = option(command)
    return command


key_option = click.option(
    "--cosign-key",
    "--cosignKey",
    "cosign_key",
    type=_KeyPlace(),
    metavar="PATH|URL",
    envvar="K0RDENT_COSIGN_KEY",
    help="Public key of the bundle's signer, in PEM.",
)
signature_option = click.option(
    "--cosign-signature",
    "--cosign-bundle",
    "cosign_signature",
    type=_FILE,
    help="The bundle's signature.  [default: BUNDLE.sig or BUNDLE.sigstore.json]",
)
_verify_option = click.option(
    "--verify/--no-verify",
    default=None,
    envvar="K0RDENTD_VERIFY_SIGNATURE",
    help="Name no image before the bundle's signature holds, or load without one.  [default: verify]",
)


def verify_options(command: Command) -> Command:
    """`--verify` and what belongs to it."""
    for option in (signature_option, key_option, _verify_option):
        command = option(command)
    return command
