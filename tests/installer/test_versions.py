"""The table of `installer.versions`, row by row."""

import pytest

from installer.errors import SourceUnusable, WillNot
from installer.settings_types import K0sVersion
from installer.versions import K0sHere, chart_order, check_replacement, choose

OLD, SAME, NEXT, FAR = (K0sVersion.parse(text) for text in ("1.31.9", "1.32.8", "1.33.1", "1.34.0"))
NOTHING = K0sHere(None, None, ours=False)
STRAY = K0sHere(SAME, None, ours=False)
FOREIGN = K0sHere(SAME, "worker", ours=False)
OURS = K0sHere(SAME, "controller", ours=True)


@pytest.mark.parametrize(
    ("here", "wanted", "replace", "refusal"),
    [
        (NOTHING, SAME, False, ""),
        (STRAY, SAME, False, ""),
        (STRAY, OLD, False, "--replace-k0s"),
        (STRAY, OLD, True, ""),
        (FOREIGN, SAME, True, "did not install it"),
        (OURS, SAME, False, ""),
        (OURS, NEXT, False, "--replace-k0s"),
        (OURS, NEXT, True, ""),
        (OURS, FAR, True, "one minor version at a time"),
        (OURS, OLD, True, "cannot go back"),
    ],
)
def test_what_is_there_decides(here: K0sHere, wanted: K0sVersion, replace: bool, refusal: str) -> None:
    if not refusal:
        check_replacement(here, wanted, allowed=replace, unfinished=False)
        return
    with pytest.raises(WillNot, match=refusal):
        check_replacement(here, wanted, allowed=replace, unfinished=False)


def test_an_installation_that_was_interrupted_goes_on_with_what_it_began() -> None:
    begun = K0sHere(OLD, "controller", ours=False)
    check_replacement(begun, SAME, allowed=False, unfinished=True)


def test_the_registry_decides_which_versions_there_are() -> None:
    tags = ["v1.32.8-k0s.0", "v1.33.1-k0s.0", "v1.32.10-k0s.0", "sha256-abc.sig"]
    assert choose(tags, None, None, "here") == NEXT
    assert choose(tags, None, SAME, "here") == SAME  # what is there stays
    assert choose(tags, None, OLD, "here") == NEXT
    assert choose(tags, SAME, NEXT, "here") == SAME
    with pytest.raises(SourceUnusable, match=r"only v1\.32\.8\+k0s\.0, v1\.32\.10\+k0s\.0, v1\.33\.1\+k0s\.0"):
        choose(tags, FAR, None, "here")
    with pytest.raises(SourceUnusable, match="load the bundle"):
        choose([], None, None, "here")


def test_charts_are_in_the_order_of_semantic_versions() -> None:
    order = ["0.9.0", "1.2.3-alpha.9", "1.2.3-alpha.10", "1.2.3-alpha.b", "1.2.3-rc.1", "1.2.3", "1.2.4_b9", "1.10.0"]
    assert sorted([*order[5:], *order[:5]], key=chart_order) == order
