"""The k0s of the airgap flavor, out of the bundle that it will serve."""

from pathlib import Path

import pytest

from bench.layout import oci_archive
from installer.packaging.errors import BuildFailed
from installer.packaging.k0s import checked_binary, checked_version, from_bundle
from tests.images import small_image, write_tar
from tests.registry.storage.test_binaries import k0s

VERSIONS = ("v1.32.8+k0s.0", "v1.33.1+k0s.1")


def bundle(path: Path, *versions: str) -> Path:
    names = {version: f"k0sproject/k0s_{version.replace('+', '-')}.tar" for version in versions}
    members = {name: oci_archive(k0s(version.encode())) for version, name in names.items()}
    return write_tar(path, {"app_1.tar": oci_archive(small_image()), **members})


@pytest.mark.slow
def test_the_k0s_of_a_bundle_is_taken_with_its_version(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle.tar", VERSIONS[0])
    assert from_bundle(made, "amd64", tmp_path / "k0s", None) == VERSIONS[0]
    assert (tmp_path / "k0s").read_bytes() == VERSIONS[0].encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.tar", "k0s"]


@pytest.mark.slow
def test_one_of_several_is_named(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle.tar", *VERSIONS)
    assert from_bundle(made, "amd64", tmp_path / "k0s", VERSIONS[1]) == VERSIONS[1]
    assert (tmp_path / "k0s").read_bytes() == VERSIONS[1].encode()
    with pytest.raises(BuildFailed, match="choose one with K0S_VERSION"):
        from_bundle(made, "amd64", tmp_path / "k0s", None)


def test_what_is_no_program_or_no_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k0s").write_text("<html>not found</html>")
    with pytest.raises(BuildFailed, match="is no program"):
        checked_binary(tmp_path / "k0s")
    with pytest.raises(BuildFailed, match="is no version"):
        checked_version("1.32")
