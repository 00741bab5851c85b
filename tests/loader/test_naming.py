"""The path decides the name (requirements.md, "Bundle and naming")."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import MemberInvalid
from loader.naming import below_root, is_archive, possible_references, reference_for
from loader.selection import Selection
from registry.oci.reference import Reference


@pytest.mark.parametrize(
    ("path", "versions", "reference"),
    [
        ("charts/k0rdent-enterprise_1.2.3.tar", (), "charts/k0rdent-enterprise:1.2.3"),
        ("k0sproject/k0s:v1.32.8-k0s.0.tar", (), "k0sproject/k0s:v1.32.8-k0s.0"),
        ("k0sproject/k0s_v1.32.8-k0s.0.tar", (), "k0sproject/k0s:v1.32.8-k0s.0"),
        ("kcm-controller_1.2.3.tar", (), "kcm-controller:1.2.3"),
        ("k8s/pause.tar", (), "k8s/pause:latest"),
        ("charts/plus_1.0.0_b1.tar", ("1.0.0+b1",), "charts/plus:1.0.0_b1"),
        ("charts/plus_1.0.0_b1.tar", ("1.0.0_b1",), "charts/plus:1.0.0_b1"),
        ("charts/a_b_1.0.0+b_1.tar", ("1.0.0",), None),
        ("a_b_1.0.tar", (), "a_b:1.0"),
        ("a_b_1.0.tar", ("9.9",), "a_b:1.0"),
        ("a_b_1.0.tar", ("b_1.0",), "a:b_1.0"),
        ("x_y/app_1.tar", ("y/app_1",), "x_y/app:1"),
    ],
)
def test_path_and_version_make_the_name(path: str, versions: tuple[str, ...], reference: str | None) -> None:
    if reference is None:
        with pytest.raises(MemberInvalid):
            reference_for(path, versions)
    else:
        assert str(reference_for(path, versions)) == reference


@pytest.mark.parametrize(
    "path",
    [
        "Upper_1.tar",
        "a_.tar",
        "_1.tar",
        "x/_1.tar",
        "a_-1.tar",
        "a_1+2.tar",
        "a b_1.tar",
        "a:b:c.tar",
        "a/b_1.tar\n.tar",
    ],
)
def test_a_path_without_a_legal_name_is_refused(path: str) -> None:
    with pytest.raises(MemberInvalid):
        reference_for(path, ())


def test_a_prefix_goes_in_front() -> None:
    assert str(reference_for("a_1.tar", (), "/site/one/")) == "site/one/a:1"


@given(st.text(max_size=40))
def test_any_path_has_a_legal_name_or_none(text: str) -> None:
    try:
        reference = reference_for(text + ".tar", (text,))
    except MemberInvalid:
        return
    assert Reference.parse(str(reference)) == reference
    assert reference in possible_references(text + ".tar") or ":" in text or "_" not in text


@pytest.mark.parametrize(
    ("path", "strip", "below"),
    [
        ("airgap-bundle-1.2.3/charts/a_1.tar", None, "charts/a_1.tar"),
        ("my-bundle/charts/a_1.tar", None, "charts/a_1.tar"),
        ("./my-bundle/./charts//a_1.tar", None, "charts/a_1.tar"),
        ("charts/a_1.tar", None, "charts/a_1.tar"),
        ("airgap-bundle-x.tar", None, "airgap-bundle-x.tar"),
        ("one/two/a_1.tar", 0, "one/two/a_1.tar"),
        ("one/two/a_1.tar", 2, "a_1.tar"),
        ("one/two/a_1.tar", 9, "a_1.tar"),
        ("airgap-bundle-1.2.3/a_1.tar", 0, "airgap-bundle-1.2.3/a_1.tar"),
    ],
)
def test_a_leading_folder_is_dropped_when_it_is_the_bundles(path: str, strip: int | None, below: str) -> None:
    assert below_root(path, "my-bundle", strip) == below


@pytest.mark.parametrize("path", ["/etc/a.tar", "../a.tar", "a/../../b.tar", "..", "a/..", ""])
@pytest.mark.parametrize("strip", [None, 0, 1])
def test_a_path_that_leaves_the_bundle_is_refused(path: str, strip: int | None) -> None:
    with pytest.raises(MemberInvalid):
        below_root(path, "my-bundle", strip)


@pytest.mark.parametrize(
    "name", ["README.md", "scripts/load.sh", "k0s-v1.32.8+k0s.0-amd64", "k0s.sig", "a.tar.gz", "x/.tar", "tar"]
)
def test_other_files_are_never_taken_for_images(name: str) -> None:
    assert not is_archive(name)


def test_a_selection_is_include_then_exclude() -> None:
    selection = Selection(include=("charts/*", "k0s*"), exclude=("*:latest",))
    names = ("charts/a:1", "k0sproject/k0s:v1", "kcm:1", "charts/b:latest")
    assert [selection.admits(Reference.parse(name)) for name in names] == [True, True, False, False]


def test_a_member_is_passed_over_only_if_no_reading_of_its_path_is_wanted() -> None:
    selection = Selection(include=("charts/plus:*",))
    assert selection.may_admit("charts/plus_1.0.0_b1.tar")
    assert not selection.may_admit("kcm_1.0.0.tar")
    assert selection.may_admit("No Name.tar")
