"""A bundle's signature checked by itself, before the bundle is used by somebody who cannot do it meanwhile."""

from pathlib import Path

from loader.errors import BundleInvalid
from loader.signature import Check, Proof
from loader.source import Source
from registry.verification import Evidence, Verification


def prove(source: Source, evidence: Evidence) -> Proof:
    """Read the whole file, of which a pipe has nothing left then.

    Raises:
        SignatureInvalid, KeyUnusable: the signature does not hold, which tells both digests, or cannot be checked.
    """
    check = Check.open(source.path, evidence)
    return check.require(source.hash(check.algorithms).digests())


def prove_before_use(bundle: Path, verification: Verification) -> None:
    """Read the whole file, unless it is said that nothing is to be checked.

    Raises:
        EvidenceMissing: the signature or the key is missing.
        BundleInvalid: it is standard input.
        SignatureInvalid, KeyUnusable: as `prove` does.
    """
    evidence = verification.evidence(bundle)
    if evidence is None:
        return
    with Source(bundle) as source:
        if source.is_piped:
            raise BundleInvalid(
                "standard input comes only once: save the bundle in a file to have its signature checked "
                "before it is used, or take --no-verify"
            )
        prove(source, evidence)
