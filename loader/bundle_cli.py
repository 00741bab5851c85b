"""`k0rdentd bundle`: look into bundles, and all that is done with them but loading."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from loader.contents import k0rdent_version, list_members
from loader.hashing import SHA256
from loader.signature import Check
from loader.source import Source
from registry.lazy_group import LazyGroup
from registry.options import key_option, signature_option
from registry.units import human
from registry.verification import EvidenceMissing, Verification

_BUNDLE = click.Path(path_type=Path)
# What speaks to registries is half of what there is to import.
_IN_OTHER_FILES: Mapping[str, str] = {
    "create": "loader.make_cli:create",
    "pull": "loader.make_cli:pull",
    "push": "loader.push_cli:push",
    "repack": "loader.make_cli:repack",
}


@click.group(cls=LazyGroup, lazy=_IN_OTHER_FILES)
def bundle() -> None:
    """Look into a bundle without loading it, fetch one, make one, push one."""


@bundle.command()
@click.argument("bundle", type=_BUNDLE)
@click.option("--json", "as_json", is_flag=True, help="One JSON document in place of lines.")
def inspect(bundle: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the images and charts of BUNDLE with their sizes."""
    with Source(bundle) as source:
        listing = list(list_members(source))
    if as_json:
        click.echo(json.dumps({"bundle": str(bundle), "members": [each.to_json() for each in listing]}, indent=2))
        return
    for listed in listing:
        click.echo(listed.line())
    click.echo(f"{len(listing)} images and charts, {human(sum(each.size for each in listing))}")


@bundle.command()
@click.argument("bundle", type=_BUNDLE)
def version(bundle: Path) -> None:
    """Print the version of k0rdent in BUNDLE."""
    with Source(bundle) as source:
        click.echo(k0rdent_version(source))


@bundle.command()
@click.argument("bundle", type=_BUNDLE)
@key_option
@signature_option
def verify(bundle: Path, cosign_key: str | None, cosign_signature: Path | None) -> None:
    """Check the signature of BUNDLE, and load nothing."""
    with Source(bundle) as source:
        try:
            evidence = Verification(True, cosign_key, cosign_signature).evidence(bundle)
        except EvidenceMissing as error:
            raise EvidenceMissing(error.lack) from error
        assert evidence is not None
        check = Check.open(bundle, evidence)
        digests = source.hash(check.algorithms).digests()
    click.echo(f"{bundle}: SHA-256 {digests[SHA256].hex()}")
    click.echo(f"{evidence.key}: SHA-256 {check.signer.fingerprint}")
    check.require(digests)
    click.echo(f"{evidence.signature}: OK")
