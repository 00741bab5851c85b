"""The name under which an archive is served: the member's path decides (requirements, "Bundle and naming")."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Final

from loader.errors import MemberInvalid
from registry.oci.errors import NameInvalid, TagInvalid
from registry.oci.reference import Reference, RepositoryName, Tag

STANDARD_INPUT: Final = Path("-")
_SUFFIX = ".tar"
_LATEST = "latest"
BUNDLE_SUFFIXES = (".tar.gz", ".tgz", ".tar.zst", ".tar")
_FOLDER = "airgap-bundle-content"  # dropped by every load
# k0s, k0rdent and the charts: with them an installation begins while the rest is still loaded.
_FIRST = ("charts/", "k0sproject/", "k0rdent", "kcm")


def shown(bundle: Path) -> str:
    """What a bundle is called in a sentence."""
    return "standard input" if bundle == STANDARD_INPUT else str(bundle)


def is_archive(path: str) -> bool:
    """Whether a member of this name is an image or chart; scripts, binaries and signatures are not."""
    return path.endswith(_SUFFIX) and PurePosixPath(path).name != _SUFFIX


def bundle_stem(file_name: str) -> str:
    """The name of a bundle without what tells its form; a leading folder of that name is dropped."""
    suffix = next((each for each in BUNDLE_SUFFIXES if file_name.endswith(each)), "")
    return file_name.removesuffix(suffix)


def path_in_bundle(path: str, bundle_name: str) -> str:
    """Where a bundle of that name has to have a member for every load to see it at `path`."""
    try:
        kept = below_root(path, bundle_name, None) == path
    except MemberInvalid:
        return path  # a load refuses it wherever it is
    return path if kept else f"{_FOLDER}/{path}"


def path_for(reference: Reference) -> str:
    """The path that stands for `reference`, whatever the archive there says of itself.

    An underscore splits, as in the vendor's bundles; where the name has one itself, a colon does.
    """
    separator = ":" if "_" in reference.repository.rpartition("/")[2] else "_"
    return f"{reference.repository}{separator}{reference.tag}{_SUFFIX}"


def below_root(path: str, bundle_name: str, strip: int | None) -> str:
    """The path below the bundle's root.

    A leading folder is dropped if it is named like the bundle or `airgap-bundle-*`, since a stream
    cannot look ahead; with `strip` that many leading folders are, whatever their names.

    Raises:
        MemberInvalid: the path is absolute or climbs out of the bundle.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts:
        raise MemberInvalid("its path leaves the bundle: absolute, or with '..'")
    if strip is not None:
        return "/".join(parts[min(strip, len(parts) - 1) :])
    if len(parts) > 1 and (parts[0] == bundle_name or parts[0].startswith("airgap-bundle-")):
        parts = parts[1:]
    return "/".join(parts)


def rank(path: str) -> int:
    """0 for what an installation needs first, by its path below the bundle's root, and 1 for the rest."""
    return 0 if path.startswith(_FIRST) else 1


def reference_for(path: str, versions: Collection[str], prefix: str = "") -> Reference:
    """`charts/plus_1.0.0_b1.tar` to `charts/plus:1.0.0_b1`, if `versions` holds `1.0.0+b1` or `1.0.0_b1`.

    `versions` is what the archive says of itself: a chart's version, the tag in an annotation. Without
    a hint in it the last underscore splits; without any underscore the tag is `latest`.

    Raises:
        MemberInvalid: the path gives no legal repository or tag.
    """
    folder, _, base = path.removesuffix(_SUFFIX).rpartition("/")
    name, tag = _split(base, {version.replace("+", "_") for version in versions})
    if not name:
        raise MemberInvalid("its path gives no name in front of the tag")
    repository = "/".join(part for part in (prefix.strip("/"), folder, name) if part)
    try:
        return Reference(RepositoryName.parse(repository), Tag.parse(tag))
    except (NameInvalid, TagInvalid) as error:
        raise MemberInvalid(f"its path gives no legal name ({error})") from error


def possible_references(path: str, prefix: str = "") -> list[Reference]:
    """Every legal name that a path may stand for, one for each underscore in it."""
    base = path.removesuffix(_SUFFIX).rpartition("/")[2]
    hints = [base[position + 1 :] for position, character in enumerate(base) if character == "_"]
    references = []
    for hint in hints or [""]:
        try:
            references.append(reference_for(path, (hint,), prefix))
        except MemberInvalid:
            continue  # an underscore that splits no name
    return references


def _split(base: str, tags: Collection[str]) -> tuple[str, str]:
    if ":" in base:
        name, _, tag = base.partition(":")
        return name, tag
    for position, character in enumerate(base):
        if character == "_" and base[position + 1 :] in tags:
            return base[:position], base[position + 1 :]
    name, underscore, tag = base.rpartition("_")
    return (name, tag) if underscore else (base, _LATEST)
