"""The k0s binary of the airgap flavor: a file, or the one in a bundle's own `k0sproject/k0s` image."""

import re
import shutil
import tempfile
from pathlib import Path

from installer.packaging.errors import BuildFailed
from installer.packaging.fetching import run
from registry.program import child_command
from registry.storage.store import Store

_ELF = b"\x7fELF"
_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*")


def checked_version(version: str) -> str:
    """As k0s tells its own.

    Raises:
        BuildFailed: it is none.
    """
    if not _VERSION.fullmatch(version):
        raise BuildFailed(f"{version!r} is no version of k0s, such as v1.32.8+k0s.0")
    return version


def checked_binary(path: Path) -> Path:
    """A program.

    Raises:
        BuildFailed: it is none.
    """
    try:
        with path.open("rb") as file:
            first = file.read(len(_ELF))
    except OSError as error:
        raise BuildFailed(f"cannot read the k0s binary {path}: {error.strerror}") from error
    if first != _ELF:
        raise BuildFailed(f"{path} is no program: K0S_BINARY must be k0s for Linux")
    return path


def from_bundle(bundle: Path, architecture: str, target: Path, version: str | None) -> str:
    """Write the k0s that `bundle` brings to `target`; which version it is.

    Raises:
        BuildFailed: it has none, or several of which `version` names none.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as root:
        only = ["--include", "k0sproject/k0s:*", "--progress", "plain"]
        run([*child_command(), "load", str(bundle), "-s", root, *only])
        store = Store.open([Path(root)])
        try:
            return _take(store, bundle, architecture, target, version)
        finally:
            store.close()


def _take(store: Store, bundle: Path, architecture: str, target: Path, version: str | None) -> str:
    suffix = f"-{architecture}"
    names = [each.name for each in store.binaries.list() if each.name.endswith(suffix)]
    versions = [name.removeprefix("k0s-").removesuffix(suffix) for name in names]
    if version is None and len(versions) == 1:
        version = versions[0]
    if version is None or version not in versions:
        raise BuildFailed(f"{bundle} has k0s {', '.join(versions) or 'nowhere'}: choose one with K0S_VERSION")
    binary = store.binaries.open(f"k0s-{version}{suffix}")
    assert binary is not None
    with binary, target.open("wb") as file:
        shutil.copyfileobj(binary, file, 1 << 20)
    return checked_version(version)
