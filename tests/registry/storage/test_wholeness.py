"""A damaged or lost index is told, with the way out; a whole one is never taken for damaged."""

import shutil
from pathlib import Path

import pytest

from bench.corpus import Contents
from registry.storage.environment import Environment
from registry.storage.errors import StorageUnusable
from registry.storage.store import Store
from registry.storage.wholeness import missing_bytes
from tests.conftest import k0rdentd, listing
from tests.images import publish, small_image


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Of a store with some images, closed."""
    store = Store.open([tmp_path / "store"])
    for number in range(20):
        publish(store, small_image(str(number)), f"app:{number}")
    store.close()
    return tmp_path / "store" / "index"


def test_a_cut_index_is_told_wherever_it_was_cut(index: Path) -> None:
    whole = (index / "data.mdb").read_bytes()
    assert missing_bytes(index / "data.mdb") == 0
    for size in (8192, 12288, len(whole) // 4, len(whole) // 2):  # the last pages may be free ones
        (index / "data.mdb").write_bytes(whole[:size])
        with pytest.raises(StorageUnusable, match=r"damaged.*load the bundles again"):
            Environment(index)


def test_pages_that_were_taken_and_given_back_may_be_missing(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    for count, kept in ((10, 10), (1000, 10), (3000, 1500)):
        with environment.writing() as rows:
            for number in range(count):
                rows.put("tags", b"%05d" % number, b"x" * 500)
            for number in reversed(range(kept, count)):
                rows.delete("tags", b"%05d" % number)
    last, page_size = environment.last_page()
    environment.close()
    file = tmp_path / "data.mdb"
    assert file.stat().st_size < (last + 1) * page_size  # else this test shows nothing
    assert missing_bytes(file) == 0
    with Environment(tmp_path).reading() as rows:
        assert rows.count("tags") == 1500
    file.write_bytes(file.read_bytes()[: -10 * page_size])
    assert missing_bytes(file) > 0


@pytest.mark.parametrize(
    ("command", "damage"),
    [(["store", "ls"], "cut"), (["store", "fsck", "--repair"], "garbage"), (["store", "gc"], "gone")]
    + [(["registry"], damage) for damage in ("cut", "gone")],
)
def test_every_command_tells_the_way_out(command: list[str], damage: str, index: Path) -> None:
    file = index / "data.mdb"
    size = file.stat().st_size
    if damage == "gone":
        shutil.rmtree(index)
    else:
        file.write_bytes(file.read_bytes()[:8192] if damage == "cut" else b"garbage!" * (size // 8))
    done = k0rdentd(
        *command, "-s", index.parent, *(["-p", "5999", "-H", "127.0.0.1"] if command == ["registry"] else [])
    )
    assert done.returncode == 4
    assert str(index) in done.stderr
    assert "load the bundles again" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_way_out_works(bundle: tuple[Path, Contents], tmp_path: Path) -> None:
    root = tmp_path / "store"
    load = ("load", bundle[0], "-s", root)
    k0rdentd(*load)
    before = listing(root)
    with (root / "index" / "data.mdb").open("r+b") as file:
        file.truncate(8192)
    assert k0rdentd(*load).returncode == 4
    (root / "index").rename(root / "index.damaged")
    k0rdentd(*load)
    assert listing(root) == before
    assert k0rdentd("store", "gc", "--grace", "0", "-s", root).returncode == 0
    for check in ("fsck", "scrub"):
        assert k0rdentd("store", check, "-s", root).returncode == 0
