"""`k0rdentd self check`: the executable against its own footer, and against its signer's key."""

import hashlib
import sys
from pathlib import Path

import click

from installer.executable import Executable
from installer.runtime import check_runtime
from loader.errors import SignatureInvalid
from loader.signature import Check
from registry.lazy_group import LazyGroup
from registry.oci.errors import Failure
from registry.path_name import PathName
from registry.program import executable
from registry.verification import Evidence


class NotAnExecutable(Failure):
    """This k0rdentd was installed as a Python package."""


class ExecutableUntrusted(Failure):
    """The signature is not one of this executable by that key."""


@click.group("self", cls=LazyGroup)
def own() -> None:
    """About the executable that k0rdentd is."""


@own.command()
@click.option("--cosign-key", envvar="K0RDENT_COSIGN_KEY", help="The vendor's public key: a file, or an https URL.")
@click.option(
    "--cosign-signature",
    type=PathName(),
    help="The signature.  [default: the executable's name + .sig]",
)
def check(cosign_key: str | None, cosign_signature: Path | None) -> None:
    """Check that the executable, and the runtime that it unpacked, are as they were built.

    That alone finds accidents. Who made it is proven by a signature, with --cosign-key.
    """
    path = executable()
    if path is None:
        raise NotAnExecutable("this k0rdentd is no executable but a Python package: check it with pip")
    found = Executable.open(path)
    for name in found.check():
        click.echo(f"{name}: ok")
    click.echo(f"runtime in {sys.prefix}: {check_runtime(Path(sys.prefix))} files ok")
    if cosign_key:
        signer = _check_signature(path, Evidence(cosign_key, cosign_signature or path.with_name(f"{path.name}.sig")))
        click.echo(f"signature: ok, by the key with SHA-256 {signer}")


def _check_signature(path: Path, evidence: Evidence) -> str:
    signed = Check.open(path, evidence)
    digests = {}
    for algorithm in signed.algorithms:
        with path.open("rb") as file:
            digests[algorithm] = hashlib.file_digest(file, algorithm).digest()
    try:
        signed.require(digests)
    except SignatureInvalid as error:
        raise ExecutableUntrusted(
            f"{evidence.signature} is no signature of {path} by the key {signed.signer.origin} (SHA-256 "
            f"{signed.signer.fingerprint}): do not use the executable before you know why"
        ) from error
    return signed.signer.fingerprint
