"""`k0rdentd bundle`: look into bundles, and all that is done with them but loading."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from loader.contents import k0rdent_version, list_members
from loader.proof import prove
from loader.source import Source
from registry.lazy_group import LazyGroup
from registry.options import json_option, key_option, signature_option
from registry.path_name import PathName
from registry.text import printable
from registry.units import counted, human
from registry.verification import Evidence, EvidenceMissing, Verification

_BUNDLE = PathName()
# What speaks to registries is half of what there is to import.
_IN_OTHER_FILES: Mapping[str, str] = {
    "create": "loader.make_cli:create",
    "pull": "loader.pull_cli:pull",
    "push": "loader.push_cli:push",
    "repack": "loader.make_cli:repack",
}


@click.group(cls=LazyGroup, lazy=_IN_OTHER_FILES)
def bundle() -> None:
    """Look into a bundle without loading it, fetch one, make one, push one."""


@bundle.command()
@click.argument("bundle", type=_BUNDLE)
@json_option
def inspect(bundle: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the images and charts of BUNDLE with their sizes."""
    with Source(bundle) as source:
        listing = list(list_members(source))
    if as_json:
        click.echo(json.dumps({"bundle": str(bundle), "members": [each.to_json() for each in listing]}, indent=2))
        return
    for listed in listing:
        click.echo(listed.line())
    good = [each for each in listing if each.error is None]
    broken = f"; {len(listing) - len(good)} broken" if len(good) < len(listing) else ""
    size = human(sum(each.size for each in good))
    click.echo(f"{counted(len(good), 'image or chart', 'images and charts')}, {size}{broken}")


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
        evidence = _evidence(bundle, cosign_key, cosign_signature)
        proof = prove(source, evidence)
    click.echo(f"{printable(str(bundle))}: SHA-256 {proof.file}")
    click.echo(f"{printable(evidence.shown_key)}: SHA-256 {proof.signer}")
    click.echo(f"{printable(str(evidence.signature))}: OK")


def _evidence(bundle: Path, key: str | None, signature: Path | None) -> Evidence:
    """What is missing is told without --no-verify, which makes no sense here."""
    try:
        evidence = Verification(True, key, signature).evidence(bundle)
    except EvidenceMissing as error:
        raise EvidenceMissing(error.lack) from error
    assert evidence is not None
    return evidence
