"""The options by which a command knows registries: who we are to them, and whom we trust."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from registry.path_name import PathName
from registry.transfer.access import Credentials

_READ_FILE = PathName(dir_okay=False)

_CREDENTIAL_OPTIONS = (
    click.option("--username", help="User of the registry."),
    click.option(
        "--password-file",
        type=PathName(dir_okay=False, allow_dash=True),
        help="File of the user's password; - is standard input.",
    ),
    click.option(
        "--authfile", type=_READ_FILE, help="File of credentials, as 'podman login' or 'docker login' writes it."
    ),
    click.option("--ca-file", type=_READ_FILE, help="Certificates (PEM) of the authorities to trust."),
    click.option("--insecure", is_flag=True, help="Take any certificate, and plain http from other machines."),
)


def credential_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--username` to `--insecure`, for a command that takes `credentials`."""

    @wraps(command)
    def wrapped(
        *,
        username: str | None,
        password_file: Path | None,
        authfile: Path | None,
        ca_file: Path | None,
        insecure: bool,
        **rest: object,
    ) -> object:
        return command(credentials=Credentials(username, password_file, authfile, ca_file, insecure), **rest)

    for option in reversed(_CREDENTIAL_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
