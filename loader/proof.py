"""A bundle's signature checked by itself, before the bundle is used by somebody who cannot do it meanwhile."""

from pathlib import Path

from loader.errors import BundleInvalid
from loader.signature import Check
from loader.source import Source
from registry.verification import Verification


def prove(bundle: Path, verification: Verification) -> None:
    """Read the whole file, unless it is said that nothing is to be checked.

    Raises:
        EvidenceMissing: the signature or the key is missing.
        SignatureInvalid, KeyUnusable: it does not hold, or cannot be checked.
    """
    evidence = verification.evidence(bundle)
    if evidence is None:
        return
    check = Check.open(bundle, evidence)
    with Source(bundle) as source:
        if source.is_piped:
            raise BundleInvalid(
                "standard input comes only once: save the bundle in a file to have its signature checked "
                "before it is used, or take --no-verify"
            )
        check.require(source.hash(check.algorithms).digests())
