"""Broken and hostile members: each is told, all others are loaded, nothing appears outside the store."""

from pathlib import Path

import pytest

from bench.broken import ESCAPED
from bench.bundle import BundleSpec, Contents, Form
from bench.corpus import write_bundle
from tests.conftest import listing
from tests.faults.bundles import Loaded, load
from tests.faults.contents import assert_blobs_are_what_they_are_called, assert_nothing_under_way

Bundle = tuple[Path, Contents]


@pytest.fixture(scope="module", params=["tar", "tar.gz", "dir"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    form: Form = request.param
    path = tmp_path_factory.mktemp("hostile") / ("bundle" if form == "dir" else f"bundle.{form}")
    return path, write_bundle(BundleSpec(size=4_000_000, broken=True), path, form)


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """A folder in which only the store may change."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    return folder


def escaped() -> list[Path]:
    """What a path that climbs out would have made."""
    return [path for folder in (Path("/"), Path.cwd(), Path("/tmp")) for path in folder.glob(f"*{ESCAPED[1:]}*")]


def tree(folder: Path, but: Path) -> dict[str, int]:
    """Everything below a folder that is not below another one, with the time of its last change."""
    found = (path for path in folder.rglob("*") if path != but and but not in path.parents)
    return {str(path): path.lstat().st_mtime_ns for path in found}


def assert_all_good_and_no_bad(done: Loaded, root: Path, contents: Contents) -> None:
    assert done.code == 1
    assert done.having("failed") == {each.path for each in contents.broken}
    assert set(listing(root)) == {f"{each.repository}:{each.tag}" for each in contents.members}
    for each in contents.broken:
        assert f"failed {each.path}: " in done.output
    assert f"{len(contents.broken)} of {len(contents.broken) + len(contents.members)} members failed" in done.error
    assert "Traceback" not in done.error


def test_every_broken_member_is_told_and_every_good_one_is_loaded(bundle: Bundle, cell: Path) -> None:
    path, contents = bundle
    before = tree(cell.parent, cell)
    done = load(path, cell / "store")
    assert_all_good_and_no_bad(done, cell / "store", contents)
    assert_nothing_under_way(cell / "store")
    assert_blobs_are_what_they_are_called(cell / "store")
    assert {path.name for path in cell.iterdir()} == {"store", "store.json"}
    assert tree(cell.parent, cell) == before
    assert escaped() == []


def test_a_rerun_fails_the_same_ones_and_loads_nothing_anew(bundle: Bundle, cell: Path) -> None:
    path, contents = bundle
    first = load(path, cell / "store")
    held = tree(cell / "store" / "blobs", cell)
    again = load(path, cell / "store")
    assert_all_good_and_no_bad(again, cell / "store", contents)
    assert again.having("failed") == first.having("failed")
    assert again.having("present") == first.having("loaded")
    assert again.having("loaded") == set()
    assert set(tree(cell / "store" / "blobs", cell)) == set(held)
